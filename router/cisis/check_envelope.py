"""Rules R02–R12 (MSH) and R20–R24, R30–R32 (structure and action); R98 of the PRT."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from router.cisis.findings import Findings
from router.cisis.reading import ACTIONS, EVENTS, ORDERS, Reading
from router.cisis.rule import Severity
from router.cisis.settings import ProfileRules
from router.hl7.message import Message
from router.hl7.segment import Segment
from router.request import Action

#: MSH-9.1 -> (MSH-9.2 accepted, MSH-9.3, MSH-12.1).
MESSAGES: Final = {
    "ORU": (frozenset({"R01"}), "ORU_R01", "2.5"),
    "MDM": (frozenset(EVENTS), "MDM_T02", "2.6"),
}
MOST_SEGMENTS: Final = 10_000
LONGEST_SEGMENT: Final = 64 * 1024
"""Bytes of a segment that the profile reads; of an OBX without OBX-5.5, which holds the document."""
MOST_PIECES: Final = 200_000
"""Fields, repetitions, components and sub-components of all these segments: each costs when it is searched or cut."""
_READ: Final = ("MSH", "EVN", "PID", "PV1", "ORC", "OBR", "TXA", "OBX", "PRT", "NTE")

OTHER_PARTS: Final = 20
"""PRT of a message beside its recipients: who sends, where to answer, and what other profiles add."""

_TOLERATED_VERSION: Final = "2.5.1"

#: Required segments: of every message, of an MDM, since the generation that wants orders (hl7-input §1.2, §1.3).
_REQUIRED: Final = ("PID", "OBX")
_REQUIRED_OF_MDM: Final = ("EVN", "PID", "PV1", "TXA", "OBX")
_ORDER_SEGMENTS: Final = ("ORC", "OBR")
#: The order that matters: what is read of a segment depends on what it belongs to.
_SEQUENCE: Final = ("PID", "ORC", "OBR")


def reasonable(message: Message, findings: Findings) -> bool:
    """R01: no document needs so many segments, so long ones, or so many pieces; refused before one of them is read."""
    if len(message.names) > MOST_SEGMENTS:
        findings.add("R01", "lines", limit=MOST_SEGMENTS)
        return False
    read = [segment for name in _READ for segment in message.segments(name)]
    for segment in read:
        if segment.size <= LONGEST_SEGMENT:
            continue
        held = len(segment.rest(5, 5)) if segment.name == "OBX" else 0
        if segment.size - held > LONGEST_SEGMENT:
            findings.add("R01", "long", segment=segment.name, n=segment.index)
    if not findings.faults and _many_pieces(read):
        findings.add("R01", "pieces", limit=MOST_PIECES)
    return not findings.faults


def _many_pieces(read: Iterable[Segment]) -> bool:
    """Whether all of them together have too many; counting ends there."""
    left = MOST_PIECES
    for segment in read:
        left -= segment.pieces(left)
        if left < 0:
            return True
    return False


def few_parts(message: Message, rules: ProfileRules, findings: Findings) -> bool:
    """R98: PRT are counted before one of them is read, for each of them costs several addresses and identities."""
    most = rules.most_recipients + OTHER_PARTS
    if message.names.count("PRT") <= most:
        return True
    findings.add("R98", "parts", n=most + 1, limit=most)
    return False


def supported(reading: Reading, findings: Findings) -> bool:
    """R02, R03: whether this is a message of the volet at all; what isn't gets no other reproach."""
    message = reading.message
    known = MESSAGES.get(message.code)
    if known is None:
        findings.add("R02")
        return False
    if message.event not in known[0]:
        findings.add("R03")
        return False
    return True


def check_header(reading: Reading, rules: ProfileRules, findings: Findings) -> None:
    """R04 to R12."""
    message, head = reading.message, reading.head
    _, structure, version = MESSAGES[message.code]
    if head.text("9.3") != structure:
        findings.add("R04", "" if head.text("9.3") else "absent")
    _check_version(head.text("12"), version, rules, findings)
    if head.text("11").upper() not in rules.accepted_processing_ids:
        findings.add("R06")
    if not head.text("10"):
        findings.add("R07")
    for number in (3, 4, 5, 6, 7):
        if not _valued(head, number):
            findings.add("R08", field=number)
    sender = head.text("3")
    if rules.senders and not {sender, f"{sender}|{head.text('4')}"} & set(rules.senders):
        findings.add("R08", "sender")
    if head.text("17").upper() != "FRA":
        findings.add("R09")
    if message.fell_back:
        findings.add("R10", "fallback")
    elif message.misdeclared:
        findings.add("R10", "mojibake")
    if not reading.known:
        findings.add("R11")
    elif not reading.declared:
        findings.add("R11", "absent")
    if head.text("14") or "DSC" in message:
        findings.add("R12")


def _valued(head: Segment, number: int) -> bool:
    """Whether a field holds anything: an HD may have its number (HD-2) and no name (HL7 v2.5 §2.A.33)."""
    return bool(head.text(str(number))) or any(head.text(f"{number}.{part}") for part in (2, 3))


def _check_version(received: str, expected: str, rules: ProfileRules, findings: Findings) -> None:
    if received == expected:
        return
    if received == _TOLERATED_VERSION and expected == "2.5":
        findings.add("R05", "2.5.1", severity=Severity.WARN if rules.accept_2_5_1 else Severity.ERROR)
    else:
        findings.add("R05")


def check_structure(reading: Reading, findings: Findings) -> None:
    """R20, R21, R22, R24."""
    message = reading.message
    wanted = _REQUIRED_OF_MDM if reading.is_mdm else _REQUIRED
    for name in (*wanted, *(_ORDER_SEGMENTS if reading.table.order_segments else ())):
        if name not in message:
            findings.add("R20", segment=name)
    if not reading.is_mdm and "PV1" not in message:
        findings.add("R20", "PV1")
    _check_order(reading, findings)
    if len(message.segments("PID")) > 1:
        findings.add("R24")
    if len(message.segments("ORC")) > 1:
        findings.add("R22", "orders")
    most = 1 if reading.is_mdm else 2
    for extra in reading.documents[most:]:
        findings.add("R22", n=extra.index)


def _check_order(reading: Reading, findings: Findings) -> None:
    observations = reading.message.segments("OBX")
    limit = observations[0].position if observations else len(reading.message.names) + 1
    last = 0
    for name in _SEQUENCE:
        for segment in reading.message.segments(name)[:1]:
            if segment.position < last or segment.position > limit:
                findings.add("R21", segment=name, n=segment.index)
            last = max(last, segment.position)
    for part in reading.misplaced:
        findings.add("R21", "PRT", n=part.index)


def check_action(reading: Reading, findings: Findings) -> Action | None:
    """R30, R31, R32: the action, or None when it can't be told."""
    statuses = [document.text("11").upper() for document in reading.documents]
    for document, status in zip(reading.documents, statuses, strict=True):
        if status not in ACTIONS:
            findings.add("R32", n=document.index)
    if not statuses or statuses[0] not in ACTIONS:
        return reading.action
    action = ACTIONS[statuses[0]]
    said = {action}
    if reading.is_mdm:
        said.add(EVENTS[reading.message.event])
    if reading.table.action_in_orc:
        order = ORDERS.get(reading.message.text("ORC-1").upper())
        agreed = len(said) == 1 and (order is action or "ORC" not in reading.message)
        if not agreed:
            findings.add("R30")
    elif len(said) > 1:
        findings.add("R31", n=reading.documents[0].index)
    if len(set(statuses[:2])) > 1:
        findings.add("R23", n=reading.documents[1].index)
    return action
