"""Writes the Python code of hookpost.v1: `python proto/generate.py [OUT]`, by default into clients/python.

Deletes what an earlier run wrote and this one does not. Needs grpcio-tools and mypy-protobuf of the same environment.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
DEFAULT_OUT = HERE.parent / "clients" / "python"
PATTERN = "*_pb2*.py*"


def generate(out: Path) -> list[Path]:
    """Writes hookpost/v1 below `out`; returns the files. Raises SystemExit when the compiler refuses."""
    sources = sorted(HERE.glob("hookpost/v1/*.proto"))
    package = out / "hookpost" / "v1"
    package.mkdir(parents=True, exist_ok=True)
    stale = set(package.glob(PATTERN))
    tools = Path(sys.executable).parent
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={HERE}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            *(f"--plugin={name}={tools / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
            *(f"--{kind}_out={out}" for kind in ("python", "grpc_python")),
            *(f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")),
            *map(str, sources),
        ]
    )
    if status:
        raise SystemExit(status)
    written = [
        package / f"{source.stem}_{suffix}"
        for source in sources
        for suffix in ("pb2.py", "pb2.pyi", "pb2_grpc.py", "pb2_grpc.pyi")
    ]
    for path in stale.difference(written):
        path.unlink()
    return written


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUT)
