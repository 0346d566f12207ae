"""google.protobuf.Struct as JSON text, for people at a prompt: whole numbers come out without `.0`."""

from __future__ import annotations

import json
import math

from google.protobuf import struct_pb2

from ..domain.payload import MAX_DEPTH, PayloadError

MAX_WHOLE = 2**53  # beyond it a double no longer tells neighbours apart


def dumps(value: struct_pb2.Struct) -> bytes:
    """Compact JSON, members sorted by name. Raises PayloadError for NaN, infinities and more than 64 levels."""
    parts: list[str] = []
    _struct(value, parts, 1)
    return "".join(parts).encode()


def _struct(value: struct_pb2.Struct, parts: list[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise PayloadError(f"must be nested at most {MAX_DEPTH} levels deep")
    parts.append("{")
    for index, name in enumerate(sorted(value.fields)):
        parts.append(f"{',' if index else ''}{json.dumps(name, ensure_ascii=False)}:")
        _value(value.fields[name], parts, depth)
    parts.append("}")


def _value(value: struct_pb2.Value, parts: list[str], depth: int) -> None:
    match value.WhichOneof("kind"):
        case "number_value":
            parts.append(_number(value.number_value))
        case "string_value":
            parts.append(json.dumps(value.string_value, ensure_ascii=False))
        case "bool_value":
            parts.append("true" if value.bool_value else "false")
        case "struct_value":
            _struct(value.struct_value, parts, depth + 1)
        case "list_value":
            if depth + 1 > MAX_DEPTH:
                raise PayloadError(f"must be nested at most {MAX_DEPTH} levels deep")
            parts.append("[")
            for index, item in enumerate(value.list_value.values):
                if index:
                    parts.append(",")
                _value(item, parts, depth + 1)
            parts.append("]")
        case _:
            parts.append("null")


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise PayloadError("must not contain NaN or Infinity: they are not JSON")
    if value.is_integer() and abs(value) <= MAX_WHOLE:
        return str(int(value))
    return repr(value)
