"""Audit messages: valid by the schema of DICOM, with the codes of IHE, and without a patient's identity."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from lxml import etree

from router.audit.atna import Messages
from router.audit.chain import AuditRow
from router.audit.event import Action, AuditEvent
from router.audit.settings import CollectorConfig
from router.audit.traces import TraceLine
from router.exchange import Spoken

SCHEMA: Final = etree.RelaxNG(etree.parse(str(Path(__file__).with_name("audit_message.rng"))))
PSEUDONYM: Final = "5f" * 16
MESSAGES: Final = Messages(CollectorConfig(host="arr.chu.fr", site="CHU"), "qualification")


def read(made: bytes | None) -> Any:
    """The message, held against the schema."""
    assert made is not None
    root = etree.fromstring(made)
    assert SCHEMA.validate(root), SCHEMA.error_log
    return root


def row(action: Action, **facts: Any) -> AuditRow:
    return AuditRow(7, AuditEvent(at=1_790_000_000.25, action=action, **{"who": "claire", **facts}), "a" * 64)


def trace(iti: str, *, protocol: str = "dmp", ok: bool = True, **facts: str) -> TraceLine:
    known = {"iti": iti, "patient": PSEUDONYM, "submission_set": "1.2.250.1.9", "document": "1.2.250.1.8", **facts}
    spoken = Spoken(
        at=1_790_000_000.0,
        protocol=protocol,
        server="https://lps.dmp.example:443/si-dmp-server" if protocol == "dmp" else "smtp.example:465",
        author="899700012345",
        action="TD2.1",
        answer="HTTP 200 Success" if ok else "DMP-DMPClosed",
        ok=ok,
        facts=known,
    )
    return TraceLine(number=3, spoken=spoken, sink="dmp.chu", label="adam.hoda@x.mssante.fr", delivery_id="d" * 32)


def codes(root: Any, path: str) -> list[str]:
    return [one.get("csd-code") for one in root.iterfind(path)]


def details(root: Any) -> dict[str, str]:
    return {
        one.get("type"): base64.b64decode(one.get("value")).decode() for one in root.iter("ParticipantObjectDetail")
    }


@pytest.mark.parametrize("action", list(Action))
def test_every_action_makes_a_valid_message(action: Action) -> None:
    """Its row and its digest stand in it, so that the collector can vouch for the chain."""
    root = read(MESSAGES.of_row(row(action, kind="event", object="e" * 64, reason="motif", source="10.0.0.7")))
    told = details(root)
    assert (told["row"], told["mac"], told["action"]) == ("7", "a" * 64, str(action))
    assert root.find("ActiveParticipant").get("UserID") == "claire"
    assert root.find("AuditSourceIdentification").get("AuditSourceID") == "segur-router@qualification"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (row(Action.LOGIN, refused=True), ("110114", "110122", "E", "4")),
        (row(Action.LOGOUT), ("110114", "110123", "E", "0")),
        (row(Action.STARTED, who="system"), ("110100", "110120", "E", "0")),
        (row(Action.STOPPED, who="system"), ("110100", "110121", "E", "0")),
        (row(Action.VIEWED, kind="event"), ("110110", "110127", "R", "0")),
        (row(Action.EXPORTED, kind="audit"), ("110101", "", "R", "0")),
        (row(Action.EXPORTED, kind="traces"), ("110101", "", "R", "0")),
        (row(Action.EXPORTED, kind="search"), ("110106", "", "R", "0")),
        (row(Action.VERIFIED, who="system", refused=True), ("110113", "110135", "E", "4")),
        (row(Action.ACCOUNT), ("110113", "110137", "E", "0")),
        (row(Action.PURGED, who="system", kind="audit"), ("110113", "110132", "E", "0")),
        (row(Action.DECIDED, kind="master-key"), ("110113", "110129", "E", "0")),
        (row(Action.DECIDED, kind="case"), ("110110", "", "U", "0")),
        (row(Action.REPLAYED, kind="event"), ("110110", "", "U", "0")),
    ],
)
def test_actions_have_the_codes_of_dicom(event: AuditRow, expected: tuple[str, str, str, str]) -> None:
    """Login, application start and stop, audit log used, patient record, security alert (DICOM PS3.15 A.5.3)."""
    root = read(MESSAGES.of_row(event))
    what = root.find("EventIdentification")
    found = codes(root, ".//EventTypeCode") or [""]
    assert (codes(root, ".//EventID"), found) == ([expected[0]], [expected[1]])
    assert (what.get("EventActionCode"), what.get("EventOutcomeIndicator")) == expected[2:]


@pytest.mark.parametrize(
    ("iti", "event", "action"),
    [("ITI-41", "110106", "R"), ("ITI-57", "110106", "U"), ("ITI-18", "110112", "E"), ("ITI-45", "110112", "E")],
)
def test_transactions_of_the_dmp_have_the_codes_of_ihe(iti: str, event: str, action: str) -> None:
    """Source and destination, the patient by his pseudonym, the submission set or the query (IHE ITI TF-2)."""
    root = read(MESSAGES.of_trace(trace(iti)))
    assert codes(root, ".//EventID") == [event] and codes(root, ".//EventTypeCode") == [iti]
    assert root.find("EventIdentification").get("EventActionCode") == action
    assert codes(root, ".//RoleIDCode") == ["110153", "110152"]
    source, there = root.findall("ActiveParticipant")
    assert (source.get("UserID"), source.get("UserIsRequestor")) == ("899700012345", "true")
    assert (there.get("NetworkAccessPointID"), there.get("UserIsRequestor")) == ("lps.dmp.example", "false")
    patient, thing = root.findall("ParticipantObjectIdentification")
    assert patient.get("ParticipantObjectID") == PSEUDONYM
    if iti == "ITI-18":
        query = base64.b64decode(thing.find("ParticipantObjectQuery").text)
        assert b"1.2.250.1.8" in query and thing.get("ParticipantObjectTypeCodeRole") == "24"
    else:
        assert thing.get("ParticipantObjectID") == "1.2.250.1.9"


def test_an_archive_by_mail_is_a_distribution_on_media() -> None:
    """ITI-32: the medium is e-mail, the destination the recipient as operators see him."""
    root = read(MESSAGES.of_trace(trace("ITI-32", protocol="smtp", submission_set="", message_id="<m@x>")))
    assert codes(root, ".//EventTypeCode") == ["ITI-32"] and codes(root, ".//MediaType") == ["110031"]
    assert root.findall("ActiveParticipant")[1].get("UserID") == "adam.hoda@x.mssante.fr"
    assert root.findall("ParticipantObjectIdentification")[1].get("ParticipantObjectID") == "<m@x>"


def test_a_transaction_that_failed_says_so() -> None:
    """Outcome 8, with the code of the answer."""
    root = read(MESSAGES.of_trace(trace("ITI-41", ok=False)))
    assert root.find("EventIdentification").get("EventOutcomeIndicator") == "8"
    assert root.findtext(".//EventOutcomeDescription") == "DMP-DMPClosed"


def test_a_site_may_leave_the_patient_out() -> None:
    """`patients: none`: not even the pseudonym."""
    made = Messages(CollectorConfig(host="h", patients="none"), "production").of_trace(trace("ITI-41"))
    assert PSEUDONYM.encode() not in (made or b"")
    read(made)


def test_what_is_no_transaction_of_ihe_makes_no_message() -> None:
    """A command of SMTP or IMAP is a trace, and no audit message."""
    assert MESSAGES.of_trace(replace(trace(""), number=4)) is None


def test_hostile_texts_stay_inside() -> None:
    """What XML can't hold is shown by its code; markup is text."""
    nasty = "\x00\x1b]0;x\x07<a b='1'>&\ud800\u202e"
    root = read(MESSAGES.of_row(row(Action.NOTED, who=nasty, object=nasty, kind=nasty, role=nasty, source=nasty)))
    assert "<a b='1'>&" in root.find("ActiveParticipant").get("UserID")
