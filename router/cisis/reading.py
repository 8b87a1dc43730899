"""A message of the volet read once: its documents, metadata, participants and identity, before any judgement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from router.cisis import participants
from router.cisis.dialects import BODIES, DIALECTS, DialectTable, canonical, declared, inferred
from router.hl7.message import Message
from router.hl7.segment import Segment
from router.request import Action, Dialect

#: OBX-11 of a document (hl7-input §1.4).
ACTIONS: Final = {"F": Action.INITIAL, "C": Action.REPLACE, "D": Action.DELETE}
#: MSH-9.2 of an MDM.
EVENTS: Final = {"T02": Action.INITIAL, "T10": Action.REPLACE, "T04": Action.DELETE}
#: ORC-1 since 2.1.
ORDERS: Final = {"NW": Action.INITIAL, "RO": Action.REPLACE, "CA": Action.DELETE}

_METADATA_SYSTEM: Final = "METADMPMSS"
#: NTE-4 behind DESTMSSANTEPAT: the patient can't answer.
_NO_REPLY: Final = "FIN"


@dataclass(frozen=True, slots=True)
class Metadatum:
    """A metadata OBX: canonical name, the name received, OBX-5.1 as a text and as it was written."""

    segment: Segment
    name: str
    received: str
    value: str

    @property
    def n(self) -> int:
        return self.segment.index

    @property
    def yes(self) -> bool:
        return self.value.upper() == "Y"

    @property
    def well_written(self) -> bool:
        return self.segment.as_written("5.1") in ("Y", "N")


@dataclass(slots=True)
class Reading:
    """Everything the checks look at. `metadata` keeps the message's order, duplicates included."""

    message: Message
    head: Segment
    """The MSH segment."""
    dialect: Dialect
    table: DialectTable
    declared: bool
    """Whether MSH-21 said which generation this is."""
    known: bool
    """False when MSH-21 names a profile that isn't one of ours."""
    is_mdm: bool
    documents: list[Segment] = field(default_factory=list)
    metadata: list[Metadatum] = field(default_factory=list)
    participants: list[tuple[str, Segment]] = field(default_factory=list)
    """The PRT that follow a document, each with its kind."""
    misplaced: list[Segment] = field(default_factory=list)
    """PRT that don't follow a document."""
    no_reply: bool = False

    def first(self, name: str) -> Metadatum | None:
        """The first metadata OBX of that canonical name."""
        return next((one for one in self.metadata if one.name == name), None)

    def yes(self, name: str) -> bool:
        """Whether a metadata is Y; absent is N."""
        found = self.first(name)
        return found is not None and found.yes

    def at(self, name: str) -> int:
        """Occurrence of a metadata's OBX, 1 when it is absent."""
        found = self.first(name)
        return found.n if found else 1

    def parts(self, kind: str) -> list[Segment]:
        """The PRT of one kind (SB, RCT, REPLY)."""
        return [part for known, part in self.participants if known == kind]

    @property
    def misplaced_kinds(self) -> set[str]:
        """SB, RCT, REPLY of the PRT that stand elsewhere (R21): they are there, so nobody is told that they lack."""
        return {participants.kind_of(part) for part in self.misplaced}

    @property
    def action(self) -> Action | None:
        """What is asked: OBX-11 of the first document, else the event of an MDM; None when neither says it."""
        status = self.documents[0].text("11").upper() if self.documents else ""
        return ACTIONS.get(status) or EVENTS.get(self.message.event)


def read(message: Message) -> Reading:
    """Sort the segments of a message. Nothing is judged here, and nothing raised."""
    dialect, was_declared = _dialect(message)
    reading = Reading(
        message=message,
        head=message.segments("MSH")[0],
        dialect=dialect or Dialect.V2_1,
        table=DIALECTS[dialect or Dialect.V2_1],
        declared=was_declared,
        known=dialect is not None,
        is_mdm=message.code == "MDM",
    )
    _sort(reading)
    return reading


def _sort(reading: Reading) -> None:
    after_document, last = False, ""
    for segment in reading.message.segments():
        if segment.name == "OBX":
            received = segment.text("3.1")
            name, last = canonical(received), ""
            after_document = _is_document(reading, segment, name)
            if after_document:
                reading.documents.append(segment)
            else:
                reading.metadata.append(Metadatum(segment, name, received, segment.text("5.1")))
                last = name
        elif segment.name == "PRT" and after_document:
            reading.participants.append((participants.kind_of(segment), segment))
        elif segment.name == "PRT":
            reading.misplaced.append(segment)
        elif segment.name == "NTE" and last == "DESTMSSANTEPAT":
            reading.no_reply = reading.no_reply or segment.text("4").upper() == _NO_REPLY


def _is_document(reading: Reading, segment: Segment, name: str) -> bool:
    """An ED that is no metadata; and the very first OBX, unless it clearly is a metadata."""
    if name in reading.table.metadata or name in BODIES or name in reading.table.ignored:
        return False
    if segment.text("3.3").upper() == _METADATA_SYSTEM:
        return False
    return segment.text("2").upper() == "ED" or not (reading.documents or reading.metadata)


def _dialect(message: Message) -> tuple[Dialect | None, bool]:
    """(generation, whether MSH-21 said it); None for a profile that isn't ours."""
    head = message.segments("MSH")[0]
    profiles = [(one.text(1), one.text(2)) for one in head.repetitions(21)]
    profiles = [(version, name) for version, name in profiles if version or name]
    if profiles:
        return next((found for one in profiles if (found := declared(*one))), None), True
    observations = [one for one in message.segments("OBX") if one.text("2").upper() != "ED"]
    names = [one.text("3.1").upper() for one in observations]
    return inferred(names, (one.text("5.3") for one in observations)), False
