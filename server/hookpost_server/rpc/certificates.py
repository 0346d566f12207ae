"""The server's TLS: a certificate that is read anew when its files change, and callers' certificates if wanted."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc
import structlog

log = structlog.get_logger()

State = tuple[tuple[int, int, int], ...]


class Certificates:
    """Files of PEM. With `client_ca`, only callers with a certificate of it are let to the door (mTLS).

    Each handshake looks whether the files have changed; a pair that does not fit is not taken, and the one before it
    goes on.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._tried: State = ()
        self._turn = threading.Lock()  # handshakes come on the library's own threads

    @classmethod
    def of(cls, certificate: Path | None, key: Path | None, client_ca: Path | None) -> Certificates | None:
        """None: no TLS is wanted."""
        return None if certificate is None or key is None else cls(certificate, key, client_ca)

    def credentials(self) -> grpc.ServerCredentials:
        """Raises ValueError when a file can't be read, or they do not fit together."""
        try:
            self._tried = self._state()
            first = self._read()
        except OSError as error:
            raise ValueError(f"{error.filename}: {error.strerror}") from error
        return grpc.dynamic_ssl_server_credentials(
            first,
            cast(Callable[[], grpc.ServerCertificateConfiguration], self._changed),  # None is one of its answers
            require_client_authentication=self._client_ca is not None,
        )

    def _files(self) -> list[Path]:
        return [self._certificate, self._key, *([self._client_ca] if self._client_ca else [])]

    def _state(self) -> State:
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in (path.stat() for path in self._files()))

    def _read(self) -> grpc.ServerCertificateConfiguration:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
        except ssl.SSLError as error:
            raise ValueError(f"{', '.join(map(str, self._files()))}: {error.reason or error}") from None
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        roots = None if self._client_ca is None else self._client_ca.read_bytes()
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What to use from now on; None: as before."""
        with self._turn:
            try:
                if (state := self._state()) == self._tried:
                    return None
                self._tried = state
                fresh = self._read()
            except (OSError, ValueError) as error:
                log.error("tls.not_reloaded", error=str(error))
                return None
        log.info("tls.reloaded", certificate=str(self._certificate))
        return fresh


def _no_password() -> str:
    raise ValueError("the private key is encrypted; the server has no password for it")
