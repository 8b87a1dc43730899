"""The liste blanche: which domains are in the espace de confiance (mssante §6).

Matched on the exact domain, both sides as A-labels: no suffix rule. A new list replaces the one in use only when it
is believable; the last good copy stays on disk for ever, whatever its age. An unreachable list blocks nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lxml import etree

from router.contracts import Clock, Observer
from router.directory.addresses import idna
from router.directory.fetch import fetch
from router.directory.settings import ListeBlancheConfig
from router.errors import Invalid, OperatorFault, Unavailable
from router.language import filled_plural

log = logging.getLogger(__name__)

NAMESPACE: Final = "https://listeblanche.mssante.fr/schema"
LIMIT: Final = 64 * 2**20
DAY: Final = 86_400
OLD, TOO_OLD = 7 * DAY, 30 * DAY
FIRST_POSSIBLE: Final = datetime(2013, 1, 1, tzinfo=UTC).timestamp()
"""MSSanté began in 2013: a list that says it is older has a wrong date."""
AHEAD: Final = DAY
"""A date may be this far ahead of our clock: local time without an offset, a clock that is slow."""
RESERVE: Final = 30
"""Refreshes that refused domains, all together, may force within `retest_seconds`."""


@dataclass(frozen=True, slots=True)
class Names:
    """One list: its domains as A-labels, and the Unix time at which it was generated (None when it doesn't say)."""

    domains: frozenset[str]
    generated: float | None


def read(path: Path, said: logging.Logger = log) -> Names:
    """Read a list in the published form. Raises `Invalid` when it isn't one; a name that is no domain is left out, and
    `said` hears of it."""
    domains: set[str] = set()
    generated: float | None = None
    try:
        events = etree.iterparse(
            str(path), events=("end",), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        for _, element in events:
            local = etree.QName(element).localname
            if local == "Nom" and etree.QName(element.getparent()).localname == "Domaine":
                _add(domains, element.text or "", said)
            elif local == "DateDeGeneration":
                generated = _time(element.text or "")
            elif local == "Domaine":
                element.clear()
        document = events.root.getroottree()
    except (etree.XMLSyntaxError, OSError, ValueError) as error:
        raise Invalid("LISTE-BLANCHE-XML", "", "not well-formed") from error
    if document.docinfo.internalDTD is not None:
        raise Invalid("LISTE-BLANCHE-XML", "", "a DOCTYPE is refused")
    if etree.QName(events.root).namespace != NAMESPACE:
        raise Invalid("LISTE-BLANCHE-XML", "", "not in the namespace of the liste blanche")
    return Names(frozenset(domains), generated)


def _add(domains: set[str], name: str, said: logging.Logger) -> None:
    try:
        domains.add(idna(name))
    except (ValueError, UnicodeError):
        said.warning("a name of the liste blanche is not a domain and is left out")


def _time(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class ListeBlanche:
    """The list in use. Any thread may ask; one at a time refreshes."""

    def __init__(
        self,
        config: ListeBlancheConfig,
        folder: Path,
        *,
        clock: Clock,
        observer: Observer,
        said: logging.Logger = log,
    ) -> None:
        """`folder` keeps the last good copy, which is loaded at once when there is one. `said` hears what is odd."""
        self._said = said
        self._config = config
        self._path = folder / "liste-blanche.xml"
        self._clock = clock
        self._observer = observer
        self._always = frozenset(map(idna, config.always))
        self._lock = threading.Lock()
        self._testing = threading.Lock()
        self._names: Names | None = None
        self._stamp = (0, 0)
        self._forced: dict[str, float] = {}
        self._reserve, self._filled = float(RESERVE), clock.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self._load()

    def admits(self, domain: str) -> bool:
        """Whether mail may go to this domain. No I/O. With no list at all, `absent` decides."""
        try:
            name = idna(domain)
        except (ValueError, UnicodeError):
            return False
        if name in self._always:
            return True
        if self._names is None:
            return self._config.absent == "laisser-passer"
        return name in self._names.domains

    @property
    def size(self) -> int:
        return len(self._names.domains) if self._names else 0

    def age(self) -> float | None:
        """Seconds since the list in use was generated; since it was read, when it has no usable date; None: no list."""
        if self._names is None:
            return None
        if self._names.generated is None:
            return self._since_read()
        return max(0.0, self._clock.now() - self._names.generated)

    def _since_read(self) -> float | None:
        """Seconds since the kept copy was last read from its source, by whichever process; None when there is none."""
        try:
            return max(0.0, self._clock.now() - self._path.stat().st_mtime)
        except FileNotFoundError:
            return None

    def retest(self, domain: str) -> bool:
        """Refresh because this domain was refused, unless that was just done for it. True when the list was read again.

        The limit of `retest_seconds` is the domain's own. While another sink's refresh is under way, wait for it: what
        it brings may hold the domain, and then the source is not asked again.
        """
        with self._testing:
            if self.admits(domain) or not self._may_ask(domain):
                return False
            try:
                self.refresh()
            except (Unavailable, OperatorFault, Invalid) as error:
                if isinstance(error, Unavailable):
                    self._reserve = 0.0  # the next domain would wait for the same time-out
                self._said.warning("liste blanche not refreshed: %s", error)
                return False
            return True

    def _may_ask(self, domain: str) -> bool:
        """Whether this domain may force a refresh now; if so, note it.

        Every domain has its own turn. All together have a reserve that fills up again within `retest_seconds`: invented
        domains must not become a storm on the national server. While it is empty the list is only seconds old.
        """
        now, least = self._clock.monotonic(), self._config.retest_seconds
        self._forced = {name: at for name, at in self._forced.items() if now - at < least}
        if least:
            self._reserve = min(float(RESERVE), self._reserve + (now - self._filled) * RESERVE / least)
            self._filled = now
            if domain in self._forced or self._reserve < 1:
                return False
            self._reserve -= 1
        self._forced[domain] = now
        return True

    def refresh(self) -> None:
        """Read the source now and swap. Blocking.

        Raises `Unavailable` or `OperatorFault` (source out of reach), `Invalid` (not believable); the list in use
        stays in all three cases.
        """
        with self._lock:
            draft = self._path.with_suffix(f".{os.getpid()}")
            try:
                fetch(self._config.source, draft, ca=self._config.ca, limit=LIMIT)
                names = self._dated(read(draft, self._said))
                self._believe(names)
                os.utime(draft, (self._clock.now(),) * 2)
                draft.replace(self._path)
                self._names, self._stamp = names, self._signature()
            finally:
                draft.unlink(missing_ok=True)
        self.watch()

    def _dated(self, names: Names) -> Names:
        """The same list, without its date when that can't be true. A wrong date is a warning, never a refusal."""
        if names.generated is None:
            self._said.warning(
                "the liste blanche says no readable date of generation: its age is counted from its reading"
            )
            return names
        if FIRST_POSSIBLE <= names.generated <= self._clock.now() + AHEAD:
            return names
        self._said.warning(
            "the liste blanche has an impossible date of generation: its age is counted from its reading"
        )
        return replace(names, generated=None)

    def _believe(self, new: Names) -> None:
        """Raises `Invalid` unless the new list may replace the old one."""
        old = self._names
        if len(new.domains) < self._config.minimum:
            raise Invalid(
                "LISTE-BLANCHE-SHORT",
                "",
                filled_plural(
                    "{count} name, fewer than {least}",
                    "{count} names, fewer than {least}",
                    len(new.domains),
                    least=self._config.minimum,
                ),
            )
        if old is not None and len(new.domains) * 2 < len(old.domains):
            raise Invalid("LISTE-BLANCHE-SHORT", "", "less than half of the list in use")
        if old is None or old.generated is None or new.generated is None:
            return
        if new.generated < old.generated:
            raise Invalid("LISTE-BLANCHE-OLD", "", "generated before the list in use")

    def due(self) -> bool:
        """Whether it is time for the regular refresh. Also takes over what another process has fetched."""
        if self._signature() != self._stamp:
            self._load()
        age = self._since_read()
        return age is None or age > self._config.refresh_hours * 3600

    def watch(self) -> None:
        """Say how old the list is by its own date: a measure, and a line when it is old (7 days, 30 days)."""
        age = self.age()
        if age is None:
            self._said.error("no liste blanche was ever read; unknown domains: %s", self._config.absent)
            return
        self._observer.set("liste_blanche_timestamp_seconds", self._clock.now() - age)
        if age > OLD:
            say: Callable[..., None] = self._said.error if age > TOO_OLD else self._said.warning
            say("the liste blanche is %d days old and still in use", age // DAY)

    def _signature(self) -> tuple[int, int]:
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return (0, 0)
        return (state.st_ino, state.st_mtime_ns)

    def _load(self) -> None:
        stamp = self._signature()
        if stamp == (0, 0):
            return
        try:
            self._names, self._stamp = self._dated(read(self._path, self._said)), stamp
        except Invalid as error:
            self._said.error("the kept copy of the liste blanche can't be read: %s", error)
