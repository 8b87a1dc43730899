"""Read a public file of the espace de confiance: a path, or an https address under a pinned authority."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from router.errors import OperatorFault, Unavailable
from router.language import filled
from router.tls import client_context


def remote(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def fetch(source: str, target: Path, *, ca: Path | None, limit: int, timeout: float = 60) -> None:
    """Copy `source` into the file `target`. `timeout`: seconds without a byte; the whole: see `router.patience`.

    Raises `OperatorFault` for what configuration must cure (plain http, also by a redirection; a missing file; a
    certificate that its pinned authority did not sign), `Unavailable` for the rest, e.g. more than `limit` bytes.
    """
    if not remote(source):
        try:
            with Path(source).open("rb") as stream, target.open("wb") as copy:
                _copy(iter(lambda: stream.read(1 << 20), b""), copy, limit)
        except OSError as error:
            raise OperatorFault("DIRECTORY-FILE", source, error.strerror or "can't be read") from error
        return
    if not source.startswith("https://"):
        raise OperatorFault("DIRECTORY-HTTP", source, "must be https: the list's authenticity rests on TLS alone")
    from router.directory.http import get

    with _foreign(source), target.open("wb") as copy:
        status = get(source, copy.write, context=context(ca), limit=limit, silence=timeout, follow=True)
    if not 200 <= status < 300:
        raise Unavailable("DIRECTORY-HTTP", source, filled("answered {status}", status=status))


def context(ca: Path | None) -> ssl.SSLContext:
    """A client's TLS context that trusts `ca` alone, or the system's authorities when there is none."""
    try:
        return client_context(ca, system=True)
    except OSError as error:
        raise OperatorFault("DIRECTORY-CA", str(ca), "authority file can't be used") from error


def _copy(chunks: Iterator[bytes], target: IO[bytes], limit: int) -> None:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise Unavailable("DIRECTORY-SIZE", "", filled("more than {limit} bytes", limit=limit))
        target.write(chunk)


@contextmanager
def _foreign(source: str) -> Iterator[None]:
    """Nothing of httpx leaves this module."""
    import httpx  # an eighth of a process's start; most processes fetch nothing

    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise OperatorFault(
                "DIRECTORY-CA", source, "the server's certificate is not of the pinned authority"
            ) from error
        raise Unavailable("DIRECTORY-HTTP", source, type(error).__name__) from error
