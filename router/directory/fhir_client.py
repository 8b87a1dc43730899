"""Searches on the FHIR server of the annuaire santé: key, pages, back-off, rate (mssante §5.1).

A search gives every resource of all its pages, or raises: half an answer could make one of two mailboxes look like the
only one. What the server does wrong is never the message's fault, so nothing here is a `MessageFault`.
"""

from __future__ import annotations

import io
import json
import ssl
import threading
from collections.abc import Mapping
from typing import Any, Final

import httpx

from router.contracts import Clock, Turns
from router.directory.fetch import context
from router.directory.http import get
from router.directory.settings import FhirConfig
from router.errors import OperatorFault, Unavailable
from router.language import filled

CODE: Final = "ANNUAIRE-FHIR"
PAGES: Final = 40
BYTES: Final = 16 * 2**20
"""Of all pages of a search."""
TRIES: Final = 3
BUSY: Final = frozenset({429, 500, 502, 503, 504})
_TURN: Final = "annuaire-fhir"


class FhirClient:
    """One server. Blocking; any thread."""

    def __init__(self, config: FhirConfig, clock: Clock, turns: Turns) -> None:
        self._config = config
        self._clock = clock
        self._turns = turns
        self._base = httpx.URL(config.url.rstrip("/"))
        self._wake = threading.Event()
        self._paused_until = 0.0
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def search(self, kind: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Every resource that a search gives, in order.

        Raises `Unavailable` (away, slow, too many calls, an answer that is no FHIR, pages that don't end), and
        `OperatorFault` when the key is refused. After a failure the next searches fail at once for a while.
        """
        left = self._paused_until - self._clock.monotonic()
        if left > 0:
            raise Unavailable(CODE, "", "the server failed a moment ago", retry_after=left)
        try:
            return self._search(kind, query)
        except Unavailable as fault:
            self._renew()
            pause = max(self._config.pause_seconds, fault.retry_after or 0.0)
            self._paused_until = self._clock.monotonic() + pause
            raise
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            self._renew()
            self._paused_until = self._clock.monotonic() + self._config.pause_seconds
            raise Unavailable(CODE, "", type(error).__name__) from error

    def _search(self, kind: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        config = self._config
        end = self._clock.monotonic() + config.timeout
        found: list[Mapping[str, Any]] = []
        url, parameters, seen, size = f"{self._base}/{kind}", dict(query), set[str](), 0
        while url:
            if url in seen or len(seen) >= PAGES:
                raise Unavailable(CODE, "", "pages that don't end")
            seen.add(url)
            raw = self._page(url, parameters, end, BYTES - size)
            size += len(raw)
            bundle = _bundle(raw)
            found += _resources(bundle)
            url, parameters = self._next(bundle), {}
        return found

    def _secure(self) -> ssl.SSLContext:
        """The context for all threads; a fresh one after a failure, so that a renewed authority is read."""
        with self._lock:
            if self._context is None:
                plain = self._base.scheme != "https"
                self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else context(self._config.ca)
            return self._context

    def _renew(self) -> None:
        with self._lock:
            self._context = None

    def _page(self, url: str, parameters: dict[str, str], end: float, most: int) -> bytes:
        """One page, asked again while the server is busy and there is time."""
        for number in range(TRIES):
            self._turn(end)
            try:
                status, body, asked = self._get(url, parameters, end, most)
            except (httpx.TransportError, TimeoutError):
                if number + 1 == TRIES or self._clock.monotonic() >= end:
                    raise
                status, body, asked = 503, b"", None
            if status == 200:
                return body
            if status in {401, 403}:
                raise OperatorFault("ANNUAIRE-FHIR", "key", filled("clé refusée ({status})", status=status))
            pause = asked if asked is not None else 0.3 * 2**number
            last = number + 1 == TRIES or self._clock.monotonic() + pause >= end
            if status not in BUSY or last:
                raise Unavailable(CODE, "", filled("réponse {status}", status=status), retry_after=asked)
            self._wake.wait(pause)
        raise AssertionError("the last try returns or raises")

    def _turn(self, end: float) -> None:
        """Wait for our turn among all calls of the site."""
        wait = self._turns.take(_TURN, 1 / self._config.calls_per_second)
        if self._clock.monotonic() + wait >= end:
            raise Unavailable(CODE, "", "too many calls wait for their turn", retry_after=wait)
        if wait > 0:
            self._wake.wait(wait)

    def _get(self, url: str, parameters: dict[str, str], end: float, most: int) -> tuple[int, bytes, float | None]:
        """Status, body, seconds that the server asks us to wait. A peer that trickles is left in time."""
        body, told = io.BytesIO(), dict[str, str]()
        left = max(end - self._clock.monotonic(), 0.05)
        status = get(
            str(httpx.URL(url, params=parameters)) if parameters else url,
            body.write,
            context=self._secure(),
            limit=most,
            silence=left,
            total=left,
            headers={"ESANTE-API-KEY": self._config.key.read(), "Accept": "application/fhir+json"},
            told=told,
        )
        return status, body.getvalue(), _retry_after(told.get("retry-after", ""))

    def _next(self, bundle: Mapping[str, Any]) -> str:
        """The address of the next page, "" at the end. Only on the same server: the key goes nowhere else."""
        links = bundle.get("link")
        for link in links if isinstance(links, list) else ():
            if isinstance(link, dict) and link.get("relation") == "next" and link.get("url"):
                url = self._base.join(str(link["url"]))
                if (url.scheme, url.host, url.port) != (self._base.scheme, self._base.host, self._base.port):
                    raise Unavailable(CODE, "", "the next page is on another server")
                return str(url)
        return ""


def _bundle(raw: bytes) -> Mapping[str, Any]:
    try:
        bundle = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Unavailable(CODE, "", "la réponse n'est pas du JSON") from error
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Unavailable(CODE, "", "la réponse n'est pas un Bundle FHIR")
    return bundle


def _resources(bundle: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The resources of a page. Raises `Unavailable` when the server put an error among them."""
    entries = bundle.get("entry")
    resources = [entry.get("resource") for entry in entries if isinstance(entry, dict)] if entries else []
    found = [one for one in resources if isinstance(one, dict)]
    for outcome in (one for one in found if one.get("resourceType") == "OperationOutcome"):
        issues = outcome.get("issue")
        grave = (
            {issue.get("severity") for issue in issues if isinstance(issue, dict)}
            if isinstance(issues, list)
            else set()
        )
        if not grave.isdisjoint(("error", "fatal")):
            raise Unavailable(CODE, "", "la réponse annonce une erreur (OperationOutcome)")
    return [one for one in found if one.get("resourceType") != "OperationOutcome"]


def _retry_after(text: str) -> float | None:
    """Retry-After in seconds; a date, or nonsense, is none."""
    return float(min(int(text), 3600)) if text.isascii() and text.isdigit() else None
