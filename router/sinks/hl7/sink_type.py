"""What the router needs to know of `hl7` as a sink type."""

from __future__ import annotations

from router.contracts import Sink
from router.contracts.sink_type import SinkType
from router.hl7.ack import MESSAGE_CONDITIONS
from router.sinks.hl7.settings import Hl7Config
from router.sinks.tools import Tools


def _open(name: str, settings: Hl7Config, tools: Tools) -> Sink:
    from router.sinks.hl7.sink import Hl7Sink

    return Hl7Sink(name, settings, tools)


def _codes() -> tuple[str, ...]:
    """Answers of the partner (HL7 tables 0008 and 0357), and what comes before one."""
    answers = [f"HL7-{code}" for code in ("AE", "AR", "CE", "CR")]
    named = [f"{answer}-{condition}" for answer in answers for condition in MESSAGE_CONDITIONS]
    own = "ACK ACK-ID CHARSET CONNECT CRL CUT PATH TIMEOUT TLS"
    return (*answers, *named, *(f"HL7-{what}" for what in own.split()))


HL7 = SinkType(
    name="hl7",
    settings=Hl7Config,
    open=_open,
    carries="message",
    codes=_codes,
    expects="instances",
    expectation="Sinks that get the message.",
    evidence={"hl7_ack": "ACK", "hl7_control_id": "message HL7"},
    identifiers=("hl7_control_id",),
    remediation=(("HL7-*", "Lire le motif de l'accusé de l'application destinataire ; corriger, puis rejouer."),),
)
