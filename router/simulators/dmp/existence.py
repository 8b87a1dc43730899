"""TD0.2, test of existence: `PRPA_IN201307UV02` in, `PRPA_IN201308UV02` out (dmp §1.9)."""

from __future__ import annotations

import uuid
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from router.simulators.dmp.refusals import Fault
from router.simulators.dmp.registry import PatientState

_V3: Final = "{urn:hl7-org:v3}"
REQUEST: Final = f"{_V3}PRPA_IN201307UV02"


def patient_of(request: Any) -> tuple[str, str]:
    """(matricule, OID) asked for. Raises Fault when the request isn't one the DMP reads."""
    if request.get("ITSVersion") != "XML_1.0":
        raise Fault("ITSVersion XML_1.0 attendue")
    receiver = request.find(f"{_V3}receiver/{_V3}device/{_V3}id")
    if receiver is None or receiver.get("root") != "1.2.250.1.213.4.1.1.1":
        raise Fault("receiver DMP attendu")
    reason = request.find(f"{_V3}controlActProcess/{_V3}reasonCode")
    if reason is None or reason.get("code") != "TEST_EXST":
        raise Fault("reasonCode TEST_EXST attendu")
    value = request.find(f".//{_V3}patientIdentifier/{_V3}value")
    if value is None or not value.get("extension") or not value.get("root"):
        raise Fault("patientIdentifier absent")
    return value.get("extension"), value.get("root")


def answer(state: PatientState, matricule: str, oid: str) -> str:
    """The body of the response."""
    status = "terminated" if state == "closed" else "active"
    identifier = f"<id root={quoteattr(oid)} extension={quoteattr(matricule)}/>"
    subject = (
        '<subject typeCode="SUBJ"><registrationEvent classCode="REG" moodCode="EVN"><statusCode code="active"/>'
        f'<subject1 typeCode="SBJ"><patient classCode="PAT">{identifier}<statusCode code="{status}"/></patient>'
        "</subject1></registrationEvent></subject>"
    )
    found = state != "none"
    return (
        '<PRPA_IN201308UV02 xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0">'
        f'<id root="{uuid.uuid4()}"/><interactionId root="2.16.840.1.113883.1.6" extension="PRPA_IN201308UV02"/>'
        '<processingCode code="D"/><processingModeCode code="T"/><acceptAckCode code="NE"/>'
        '<acknowledgement typeCode="AA"/>'
        f'<controlActProcess classCode="CACT" moodCode="EVN">{subject if found else ""}'
        f'<queryAck><queryResponseCode code="{"OK" if found else "NF"}"/></queryAck></controlActProcess>'
        "</PRPA_IN201308UV02>"
    )
