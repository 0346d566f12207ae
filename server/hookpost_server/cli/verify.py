"""`hookpost verify`: the receiver's doctor. Says whether a request's signatures fit, and if not, why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hookpost_server.cli.duration import DURATION, MOMENT
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.inputs import read_text
from hookpost_server.cli.output import safe, say
from hookpost_server.cli.verdict import DEFAULT_HEADER

if TYPE_CHECKING:
    from hookpost_server.cli.doctor import Finding

_SUFFIX = "-signature-sha-256"
_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_MOST = 16 << 20  # bytes of a file


@click.command()
@click.option(
    "--secret",
    multiple=True,
    required=True,
    metavar="KEY|@FILE|-",
    help="The signing key that the receiver uses; repeat it for others that it may have been signed with.",
)
@click.option(
    "--headers", "headers_file", type=_FILE, required=True, help="The request's headers, one a line, or JSON."
)
@click.option("--body", "body_file", type=_FILE, required=True, help="The body, byte for byte as the code verifies it.")
@click.option("--now", type=MOMENT, help="When the request came, e.g. 2026-08-21T10:00:00Z. Default: now.")
@click.option("--tolerance", type=DURATION, default="5m", show_default=True, help="How old a request may be.")
@click.option(
    "--signature-header",
    envvar="HOOKPOST_SIGNATURE_HEADER",
    default=DEFAULT_HEADER,
    show_default=True,
    show_envvar=True,
    help="The header with the hex signature.",
)
def verify(
    secret: tuple[str, ...],
    headers_file: Path,
    body_file: Path,
    now: datetime | None,
    tolerance: timedelta,
    signature_header: str,
) -> None:
    """Find out why a signature does not verify.

    The receiver's doctor, offline: give it what the receiver's code has in hand, and it says for each scheme whether
    the signature fits, and if not, why, by trying what usually goes wrong: a body that was parsed and written anew, a
    newline added, another encoding, an old key, the schemes mixed up, the clock. Exit code 0 if it verifies.

    \b
    Examples:
      hookpost verify --secret @key.txt --headers headers.txt --body body.bin
      hookpost webhook key whk_… | hookpost verify --secret - --headers h.txt --body b.json --now 2026-08-21T10:00:00Z
    """
    from hookpost_server.cli.doctor import Case, examine, verifies

    headers = parse_headers(_read(headers_file).decode("utf-8", "surrogateescape"))
    case = Case(
        headers=headers,
        body=_read(body_file),
        secrets=[text for argument in secret for text in _secrets(argument)],
        now=(now or datetime.now(UTC)).timestamp(),
        tolerance=tolerance.total_seconds(),
        header=_signature_header(headers, signature_header.lower()),
    )
    findings = examine(case)
    for finding in findings:
        click.echo(line(finding))
    if verifies(findings):
        say("If the receiver says otherwise, its code does not pass these very bytes and this very key to its HMAC.")
        return
    cures = list(dict.fromkeys(finding.cure for finding in findings if finding.cure))
    if not cures:
        raise Failure("there is no signature to verify", hint="is --headers the file with the request's headers?")
    raise Failure("it does not verify", hint="; ".join(cures))


def line(finding: Finding) -> str:
    """One scheme: its name, its verdict, why."""
    if finding.right:
        return f"{finding.scheme}: {click.style('ok', fg='green')}"
    absent = finding.cause == "absent"
    verdict = (
        click.style("not there", fg="yellow") if absent else click.style("WRONG", fg="red") + f" ({finding.cause})"
    )
    return f"{finding.scheme}: {verdict}  {safe(finding.what)}."


def parse_headers(text: str) -> dict[str, str]:
    """Names in lower case. From lines, with or without a request line before them or curl's "> ", or from JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return {str(name).lower(): _one(each) for name, each in value.items()}
    if isinstance(value, list):  # as `hookpost delivery get -o json --requests` prints them
        return {str(each["name"]).lower(): str(each["value"]) for each in value if isinstance(each, dict)}
    headers = {}
    for each in text.removeprefix("\ufeff").splitlines():
        name, colon, rest = each.removeprefix("> ").removeprefix("< ").partition(":")
        if colon and " " not in name.strip():
            headers[name.strip().lower()] = rest.strip()
    return headers


def _one(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _signature_header(headers: dict[str, str], wanted: str) -> str:
    """The wanted one, or one of the same kind under another name."""
    others = [name for name in headers if name.endswith(_SUFFIX)]
    return wanted if wanted in headers or len(others) != 1 else others[0]


def _secrets(argument: str) -> list[str]:
    """The secret as given: white space around it may be what is wrong. Several keys from a pipe come in lines."""
    text = read_text(argument, "secret")
    lines = text.split("\n")
    if argument == "-" or argument.startswith("@"):
        lines = [each for each in lines if each.strip()]
    if not any(each.strip() for each in lines):
        raise Failure("the secret is empty", code=ExitCode.USAGE)
    return lines if argument == "-" or argument.startswith("@") else [text]


def _read(path: Path) -> bytes:
    try:
        with click.open_file(str(path), "rb") as file:
            raw = bytes(file.read(_MOST + 1))
    except OSError as error:
        raise Failure(f"can't read {path}: {error.strerror}", code=ExitCode.USAGE) from None
    if len(raw) > _MOST:
        raise Failure(f"{path} is longer than 16 MiB", code=ExitCode.USAGE)
    return raw
