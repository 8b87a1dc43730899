"""Audit messages of IHE ATNA: a row of the audit, or a trace, as the XML of DICOM PS3.15 A.5.1.

The patient is named by his pseudonym, never by an identity (decisions D18). Whatever a person wrote passes `printable`.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

from router.audit import atna_codes as codes
from router.audit.atna_codes import Code, Event
from router.audit.chain import AuditRow
from router.audit.settings import CollectorConfig
from router.audit.traces import TraceLine
from router.audit.trail import SYSTEM
from router.printable import printable
from router.sinks.dmp.transactions import GET_DOCUMENTS, get_documents

_DONE: Final = "0"
_REFUSED: Final = "4"
_FAILED: Final = "8"


@dataclass(frozen=True, slots=True)
class _Object:
    """A ParticipantObjectIdentification. `query`: instead of a name, as bytes."""

    id: str
    kind: Code
    type: str
    role: str
    name: str = ""
    query: bytes = b""
    details: tuple[tuple[str, str], ...] = ()


class Messages:
    """Makes the messages of one site. Pure but for the name of this machine."""

    def __init__(self, config: CollectorConfig, environment: str) -> None:
        self._config = config
        self._environment = environment
        self._host = socket.gethostname()

    def of_row(self, row: AuditRow) -> bytes:
        """What a person, or the router itself, did or was refused."""
        event = row.event
        what = codes.ACTIONS.get(event.action, codes.UNKNOWN)
        if event.action == "decided":
            what = codes.BY_KIND.get(event.kind, what)
        if event.kind in codes.OF_THE_AUDIT and event.action == "exported":
            what = Event(codes.AUDIT_LOG_USED, "R")
        if event.action == "verified" and event.refused:
            what = codes.BROKEN
        root = _root(what, event.at, _REFUSED if event.refused else _DONE, event.detail if event.refused else "")
        if event.who != SYSTEM:
            person = {"UserID": event.who, "UserIsRequestor": "true", **_access_point(event.source)}
            _participant(root, person, Code(event.role, codes.OURS, event.role) if event.role else None)
        self._ourselves(root, codes.APPLICATION, requestor=event.who == SYSTEM)
        self._source(root)
        facts = {"row": str(row.number), "mac": row.mac, "action": str(event.action)}
        facts |= {"reason": event.reason, "structure": event.structure, "detail": event.detail, "from": event.source}
        details = tuple((name, value) for name, value in facts.items() if value)
        if event.kind == "patient":
            for one in event.object.split():
                _object(root, _Object(one, codes.PATIENT_NUMBER, "1", "1", name="pseudonym"))
        audit = event.kind in codes.OF_THE_AUDIT
        name = "Security Audit Log" if audit else event.kind or "segur-router"
        thing = _Object(_urn(event.kind, event.object), codes.URI, "2", "13", name=name, details=details)
        _object(root, thing)
        return _written(root)

    def of_trace(self, line: TraceLine) -> bytes | None:
        """A transaction of IHE, by its initiator; None for a trace that is none."""
        spoken = line.spoken
        what = codes.TRANSACTIONS.get(spoken.facts.get("iti", ""))
        if what is None:
            return None
        root = _root(what, spoken.at, _DONE if spoken.ok else _FAILED, "" if spoken.ok else spoken.answer)
        by_mail = spoken.protocol == "smtp"
        self._ourselves(root, codes.SOURCE, requestor=True, author=spoken.author)
        there = {"UserID": line.label or spoken.server if by_mail else spoken.server, "UserIsRequestor": "false"}
        there |= {} if by_mail else _access_point(_host_of(spoken.server))
        role = codes.DESTINATION_MEDIA if by_mail else codes.DESTINATION
        _participant(root, there, role, media=codes.EMAIL if by_mail else None)
        self._source(root)
        self._documents(root, line)
        return _written(root)

    def _documents(self, root: ET.Element, line: TraceLine) -> None:
        facts = line.spoken.facts
        if (patient := facts.get("patient", "")) and self._config.patients == "pseudonym":
            _object(root, _Object(patient, codes.PATIENT_NUMBER, "1", "1", name="pseudonym"))
        known = {"event": line.event_id, "delivery": line.delivery_id, "message_id": facts.get("message_id", "")}
        details = tuple((name, value) for name, value in known.items() if value)
        if facts.get("iti") == "ITI-18":
            asked = get_documents(facts.get("document", "")).encode()
            kind = codes.TRANSACTIONS["ITI-18"].type or codes.URI
            more = (("QueryEncoding", "UTF-8"), *details)
            _object(root, _Object(GET_DOCUMENTS, kind, "2", "24", query=asked, details=more))
            return
        lot = facts.get("submission_set") or facts.get("message_id") or line.delivery_id or "unknown"
        _object(root, _Object(lot, codes.SUBMISSION_SET, "2", "20", name="submission set", details=details))

    def _ourselves(self, root: ET.Element, role: Code, *, requestor: bool, author: str = "") -> None:
        facts = {"UserID": author or "segur-router", "AlternativeUserID": str(os.getpid()), "UserName": "segur-router"}
        facts |= {"UserIsRequestor": "true" if requestor else "false"}
        _participant(root, {**facts, "NetworkAccessPointID": self._host, "NetworkAccessPointTypeCode": "1"}, role)

    def _source(self, root: ET.Element) -> None:
        facts = {"AuditSourceID": f"{self._config.source}@{self._environment}"}
        if self._config.site:
            facts["AuditEnterpriseSiteID"] = self._config.site
        source = ET.SubElement(root, "AuditSourceIdentification", _safe(facts))
        ET.SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})


def _written(root: ET.Element) -> bytes:
    made: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return made


def _root(what: Event, at: float, outcome: str, said: str) -> ET.Element:
    root = ET.Element("AuditMessage")
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    facts = {"EventActionCode": what.action, "EventDateTime": moment, "EventOutcomeIndicator": outcome}
    event = ET.SubElement(root, "EventIdentification", facts)
    _coded(event, "EventID", what.id)
    if what.type is not None:
        _coded(event, "EventTypeCode", what.type)
    if said:
        ET.SubElement(event, "EventOutcomeDescription").text = printable(said)
    return root


def _participant(root: ET.Element, facts: Mapping[str, str], role: Code | None, media: Code | None = None) -> None:
    made = ET.SubElement(root, "ActiveParticipant", _safe(facts))
    if role is not None:
        _coded(made, "RoleIDCode", role)
    if media is not None:
        _coded(ET.SubElement(made, "MediaIdentifier"), "MediaType", media)


def _object(root: ET.Element, one: _Object) -> None:
    facts = {"ParticipantObjectID": one.id, "ParticipantObjectTypeCode": one.type}
    made = ET.SubElement(
        root, "ParticipantObjectIdentification", _safe({**facts, "ParticipantObjectTypeCodeRole": one.role})
    )
    _coded(made, "ParticipantObjectIDTypeCode", one.kind)
    if one.query:
        ET.SubElement(made, "ParticipantObjectQuery").text = _base64(one.query)
    else:
        ET.SubElement(made, "ParticipantObjectName").text = printable(one.name)
    for name, value in one.details:
        coded = _base64(value.encode("utf-8", "replace"))
        ET.SubElement(made, "ParticipantObjectDetail", {"type": name, "value": coded})


def _coded(parent: ET.Element, name: str, code: Code) -> None:
    facts = {"csd-code": code.code, "codeSystemName": code.system, "originalText": code.text}
    ET.SubElement(parent, name, _safe(facts))


def _safe(facts: Mapping[str, str]) -> dict[str, str]:
    return {name: printable(value) for name, value in facts.items()}


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _urn(kind: str, object_: str) -> str:
    return ":".join(filter(None, ("urn:segur-router", kind, object_)))


def _access_point(where: str) -> dict[str, str]:
    """Type 2 for an address, 1 for a machine's name; nothing for `cli` or a worker."""
    try:
        ipaddress.ip_address(where)
    except ValueError:
        return {"NetworkAccessPointID": where, "NetworkAccessPointTypeCode": "1"} if "." in where else {}
    return {"NetworkAccessPointID": where, "NetworkAccessPointTypeCode": "2"}


def _host_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
