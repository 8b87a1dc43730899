"""`ConsoleStore`: what the console keeps for people, on SQLite or PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, insert, select

from router.access.person import EVERY
from router.console.cases import CaseStore
from router.console.causes import CauseNotes
from router.console.orders import OrderStore
from router.console.tables import CHOICES, METADATA, MIGRATIONS, SEARCHES, TYPED, VERSION
from router.contracts import Clock
from router.database import Database

_TYPED_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """A search under a name. person: id of its owner;  by: her name;  shared: others see it too
    within: FINESS of what its owner saw, None for all

    Only its owner and administrators of all structures remove it.
    """

    id: str
    person: str
    by: str
    name: str
    query: str
    shared: bool
    within: frozenset[str] | None = None


class ConsoleStore:
    """Any thread; each call is one transaction. Raises `Unavailable` (`CONSOLE-…`) while the database is away.

    What belongs to a person is kept under `Person.id`, never under a name. The console alone uses these
    tables: it brings them to this version itself.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._database = Database("console", url, METADATA, VERSION, MIGRATIONS, upgrade=True)
        self._clock = clock
        self.orders = OrderStore(self._database, clock)
        self.causes = CauseNotes(self._database, clock)
        self.cases = CaseStore(self._database, clock)

    def close(self) -> None:
        self._database.close()

    # ----------------------------------------------------------------------------------------------- choices

    def choices(self, person: str) -> Mapping[str, str]:
        """What a person chose, by name: `language`, `theme`, `density`, `keys`…"""
        query = select(CHOICES.c.name, CHOICES.c.value).where(CHOICES.c.person == person)
        with self._database.read() as connection:
            return {row.name: row.value for row in connection.execute(query)}

    def choose(self, person: str, values: Mapping[str, str]) -> None:
        """Replace these choices; the others stay."""
        with self._database.write() as connection:
            mine = (CHOICES.c.person == person) & CHOICES.c.name.in_(list(values))
            connection.execute(delete(CHOICES).where(mine))
            rows = [{"person": person, "name": name, "value": value} for name, value in values.items()]
            if rows:
                connection.execute(insert(CHOICES), rows)

    # ---------------------------------------------------------------------------------------------- searches

    def searches(self, person: str, within: frozenset[str] | None) -> tuple[SavedSearch, ...]:
        """Mine first, then the shared ones of people who saw no other structures than these (None: all), or all."""
        query = select(SEARCHES).where((SEARCHES.c.person == person) | SEARCHES.c.shared.is_(True))
        with self._database.read() as connection:
            rows = connection.execute(query).mappings()
            found = [_saved(row) for row in rows]
        if within is not None:
            found = [one for one in found if one.person == person or one.within is None or one.within <= within]
        return tuple(sorted(found, key=lambda one: (one.person != person, one.name.casefold(), one.id)))

    def save(self, person: str, name: str, query: str, within: frozenset[str] | None, *, by: str, shared: bool) -> str:
        """Keep a search; one of mine with this name is replaced. Its id.

        by: name of its owner;  within: what she sees
        """
        id_ = secrets.token_urlsafe(9)
        with self._database.write() as connection:
            same = (SEARCHES.c.person == person) & (SEARCHES.c.name == name)
            connection.execute(delete(SEARCHES).where(same))
            row = {"id": id_, "person": person, "by": by, "name": name, "query": query, "shared": shared}
            row["within"] = EVERY if within is None else " ".join(sorted(within))
            connection.execute(insert(SEARCHES), row | {"at": self._clock.now()})
        return id_

    def remove(self, id_: str, person: str | None) -> bool:
        """Remove a search of this person (None: anyone's); False when there is none."""
        wanted = SEARCHES.c.id == id_
        if person is not None:
            wanted &= SEARCHES.c.person == person
        with self._database.write() as connection:
            return bool(connection.execute(delete(SEARCHES).where(wanted)).rowcount)

    # ------------------------------------------------------------------------------------------- typed texts

    def keep_typed(self, person: str, text: str) -> str:
        """A handle for a text that may not stand in an address."""
        id_, now = secrets.token_urlsafe(9), self._clock.now()
        with self._database.write() as connection:
            connection.execute(delete(TYPED).where(TYPED.c.at < now - _TYPED_SECONDS))
            connection.execute(insert(TYPED), {"id": id_, "person": person, "text": text, "at": now})
        return id_

    def typed(self, person: str, handle: str) -> str | None:
        """The text behind a handle of this person; None when there is none (any more)."""
        query = select(TYPED.c.text).where(TYPED.c.id == handle, TYPED.c.person == person)
        with self._database.read() as connection:
            found: str | None = connection.execute(query).scalar()
            return found


def _saved(row: Any) -> SavedSearch:
    within = None if row["within"] == EVERY else frozenset(row["within"].split())
    return SavedSearch(**{name: row[name] for name in ("id", "person", "by", "name", "query", "shared")}, within=within)
