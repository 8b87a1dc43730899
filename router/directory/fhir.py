"""The FHIR interface of the annuaire santé as a source of mailboxes, its answers kept (mssante §5.1).

An answer is used for its time to live without asking again. When the server can't answer, an older one that names
somebody serves for some days more; an older "nobody" never does.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from router.contracts import Clock, OwnTurns, SystemClock, Turns
from router.directory import fhir_reading as reading
from router.directory.fhir_client import FhirClient
from router.directory.mailboxes import Mailbox, Profession, SourceName, finess
from router.directory.settings import FhirConfig
from router.errors import Unavailable

FORGOTTEN_DAYS: Final = 400
"""Answers that nobody asked for again so long are removed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one search told."""

    mailboxes: tuple[Mailbox, ...] = ()
    professions: tuple[Profession, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """FINESS -> name."""

    def __bool__(self) -> bool:
        return bool(self.mailboxes or self.professions or self.names)


class FhirAnnuaire:
    """Asks the national server. `MailboxSource`; any thread, blocking for `timeout` seconds at most."""

    name: SourceName = "fhir"

    def __init__(
        self, config: FhirConfig, folder: Path, *, clock: Clock | None = None, turns: Turns | None = None
    ) -> None:
        """folder: where answers are kept, shared by all processes of a machine"""
        self._config = config
        self._clock = clock or SystemClock()
        self._client = FhirClient(config, self._clock, turns or OwnTurns())
        self._kept = Kept(folder / "annuaire-fhir.sqlite")

    def mailboxes(self, *, rpps: str = "", finess: str = "") -> tuple[Mailbox, ...]:
        """See `MailboxSource`. Raises `Unavailable`; `OperatorFault` when the key is refused."""
        if rpps:
            found = self._answer(f"person {rpps}", lambda: self._person(rpps)).mailboxes
            return tuple(box for box in found if finess in ("", box.structure))
        return self._structure(finess).mailboxes if finess else ()

    def holders(self, address: str) -> tuple[Mailbox, ...]:
        """See `MailboxSource`."""
        wanted = address.lower()
        return self._answer(f"address {wanted}", lambda: self._holders(wanted)).mailboxes

    def professions(self, rpps: str) -> tuple[Profession, ...]:
        """See `MailboxSource`."""
        return self._answer(f"person {rpps}", lambda: self._person(rpps)).professions if rpps else ()

    def structure_name(self, number: str) -> str:
        """See `MailboxSource`."""
        return self._structure(finess(number)).names.get(finess(number), "")

    # -------------------------------------------------------------------------------------------- answers

    def _answer(self, key: str, ask: Callable[[], Answer]) -> Answer:
        now = self._clock.now()
        kept = self._kept.get(key)
        if kept is not None and 0 <= now - kept[0] < self._life(kept[1]):
            return kept[1]
        try:
            answer = ask()
        except Unavailable:
            if kept is not None and kept[1] and now - kept[0] < self._config.stale_days * 86_400:
                return kept[1]
            raise
        self._kept.put(key, now, answer)
        return answer

    def _life(self, answer: Answer) -> float:
        return self._config.ttl_hours * 3600 if answer else self._config.empty_ttl_minutes * 60

    # ------------------------------------------------------------------------------------------- searches

    def _person(self, rpps: str) -> Answer:
        """Only what is this person's: a number may be another one's identifier elsewhere."""
        query = {"identifier": rpps, "_revinclude": "PractitionerRole:practitioner"}
        resources = [one for one in self._client.search("Practitioner", query) if reading.active(one)]
        people = [
            one
            for one in resources
            if one.get("resourceType") == "Practitioner" and rpps in (reading.rpps_of(one), reading.number_of(one))
        ]
        named = {reading.place(one) for one in people}
        roles = [
            one
            for one in resources
            if one.get("resourceType") == "PractitionerRole" and reading.reference(one, "practitioner") in named
        ]
        places = self._places(resources)
        boxes = [
            box
            for one in (*people, *roles)
            for box in reading.boxes(one, rpps=rpps, structure=self._place(one, places))
        ]
        return Answer(reading.merged(boxes), reading.professions([*people, *roles]))

    def _structure(self, number: str) -> Answer:
        return self._answer(f"structure {number}", lambda: self._organisations({"identifier": number}))

    def _organisations(self, query: Mapping[str, str]) -> Answer:
        found = [one for one in self._client.search("Organization", query) if reading.active(one)]
        own = [one for one in found if one.get("resourceType") == "Organization"]
        boxes = [box for one in own for box in reading.boxes(one, rpps="", structure=reading.finess_of(one))]
        names = {number: str(one.get("name", "")) for one in own if (number := reading.finess_of(one))}
        return Answer(reading.merged(boxes), names=names)

    def _holders(self, address: str) -> Answer:
        query = {"mailbox-mss:exact": address}
        boxes = list(self._organisations(query).mailboxes)
        for kind in ("Practitioner", "PractitionerRole"):
            extra = {"_include": "PractitionerRole:practitioner"} if kind == "PractitionerRole" else {}
            resources = self._client.search(kind, query | extra)
            places = self._places(resources)
            people = {reading.place(one): reading.rpps_of(one) or reading.number_of(one) for one in resources}
            for one in resources:
                own = "" if kind == "PractitionerRole" else reading.rpps_of(one) or reading.number_of(one)
                person = people.get(reading.reference(one, "practitioner"), own)
                boxes += reading.boxes(one, rpps=person, structure=self._place(one, places))
        return Answer(reading.merged(box for box in boxes if box.address == address))

    def _places(self, resources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """`Organization/12` -> FINESS, of every place of practice: those that are not in the answer are asked for."""
        known = {reading.place(one): reading.finess_of(one) for one in resources}
        wanted = {
            reading.reference(one, "organization")
            for one in resources
            if one.get("telecom") and not reading.finess_of(one.get("organization") or {})
        }
        missing = sorted(name for name in wanted if name.startswith("Organization/") and name not in known)
        if missing:
            ids = ",".join(name.partition("/")[2] for name in missing)
            known |= {
                reading.place(one): reading.finess_of(one) for one in self._client.search("Organization", {"_id": ids})
            }
        return known

    @staticmethod
    def _place(resource: Mapping[str, Any], places: Mapping[str, str]) -> str:
        """FINESS of the place of practice of a PractitionerRole; "" for a Practitioner."""
        said = resource.get("organization") or {}
        return reading.finess_of(said) or places.get(reading.reference(resource, "organization"), "")


class Kept:
    """Answers in a file that all processes of a machine share. One that can't be read is no answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def get(self, key: str) -> tuple[float, Answer] | None:
        """(Unix time of the answer, the answer), or None."""
        try:
            row = self._database().execute("SELECT at, body FROM answer WHERE question = ?", [key]).fetchone()
            return (float(row[0]), _unpacked(str(row[1]))) if row else None
        except (sqlite3.Error, ValueError, TypeError):
            return None

    def put(self, key: str, at: float, answer: Answer) -> None:
        """Keep an answer; a disk that is full costs the cache, not the answer."""
        try:
            with self._database() as database:
                database.execute(
                    "INSERT OR REPLACE INTO answer VALUES (?, ?, ?)", [key, at, json.dumps(asdict(answer))]
                )
                database.execute("DELETE FROM answer WHERE at < ?", [at - FORGOTTEN_DAYS * 86_400])
        except sqlite3.Error:
            self._local.connection = None

    def _database(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=5)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answer (question TEXT PRIMARY KEY, at REAL, body TEXT) WITHOUT ROWID"
            )
            self._local.connection = connection
        return connection


def _unpacked(text: str) -> Answer:
    body = json.loads(text)
    return Answer(
        tuple(Mailbox(**one) for one in body["mailboxes"]),
        tuple(Profession(**one) for one in body["professions"]),
        dict(body["names"]),
    )
