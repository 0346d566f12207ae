"""What goes wrong with a secret: for each, the bytes that were used as the key instead of the right ones."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hookpost_server.cli.verdict import PREFIX, standard_key

HEX, STANDARD = "hex signature", "Standard Webhooks"


def key_of(scheme: str, secret: str) -> bytes:
    """What the scheme signs with."""
    return secret.encode() if scheme == HEX else standard_key(secret)


def from_base64(text: str) -> bytes:
    """Either alphabet, padded or not. Raises ValueError."""
    plain = text.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class KeyFault:
    """A way to use a secret wrongly: `keys` are the bytes that were used instead."""

    name: str
    what: str
    cure: str
    keys: Callable[[str, str], Iterator[bytes]]  # (scheme, secret)


def _other_scheme(scheme: str, secret: str) -> Iterator[bytes]:
    yield standard_key(secret) if scheme == HEX else secret.encode()


def _stripped(scheme: str, secret: str) -> Iterator[bytes]:
    yield key_of(scheme, secret.strip())
    yield key_of(scheme, secret.strip().strip("'\""))


def _prefixed(scheme: str, secret: str) -> Iterator[bytes]:
    bare = secret.strip()
    yield key_of(scheme, PREFIX + bare if not bare.startswith(PREFIX) else bare)


def _bare(scheme: str, secret: str) -> Iterator[bytes]:
    yield secret.removeprefix(PREFIX).encode()


def _decoded(scheme: str, secret: str) -> Iterator[bytes]:
    for decode in (from_base64, bytes.fromhex):
        try:
            yield decode(secret.strip().removeprefix(PREFIX))
        except ValueError:
            continue


KEYS: tuple[KeyFault, ...] = (
    KeyFault(
        "secret-space",
        "There is white space, or a quotation mark, around the secret",
        "Strip it where it is read; files and environment variables often end with a newline",
        _stripped,
    ),
    KeyFault(
        "secret-prefix",
        'The secret has lost its beginning "whsec_"',
        "Keep the secret as it was shown, whsec_ included",
        _prefixed,
    ),
    KeyFault(
        "scheme",
        "The two schemes were mixed up: they take their key from the same secret in different ways",
        "The hex signature is keyed with the secret's text, whsec_ included; Standard Webhooks with the bytes that "
        "the base64 after whsec_ stands for",
        _other_scheme,
    ),
    KeyFault(
        "secret-bare",
        "It was signed with the secret's text without whsec_",
        "The hex signature is keyed with the whole text; Standard Webhooks with the bytes that follow whsec_ in base64",
        _bare,
    ),
    KeyFault(
        "secret-decoded",
        "It was signed with bytes that the secret encodes",
        "A secret without whsec_ is taken as it is, as UTF-8, not decoded",
        _decoded,
    ),
)
