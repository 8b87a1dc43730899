"""What the router needs to know of `hl7` as a sink type."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from router.contracts import Sink
from router.contracts.peers import Peer
from router.contracts.sink_type import SinkType
from router.hl7.ack import MESSAGE_CONDITIONS
from router.sinks.hl7.settings import Hl7Config
from router.sinks.tools import Tools


def _open(name: str, settings: Hl7Config, tools: Tools) -> Sink:
    from router.sinks.hl7.sink import Hl7Sink

    return Hl7Sink(name, settings, tools)


def _loads(settings: Hl7Config) -> Mapping[str, Callable[[], object]]:
    from router.sinks.hl7.tls import client_context

    return {"tls": partial(client_context, settings.tls)} if settings.tls is not None else {}


def _peers(settings: Hl7Config) -> Iterator[Peer]:
    tls = settings.tls

    def context() -> ssl.SSLContext:
        from router.sinks.hl7.tls import client_context

        assert tls is not None  # noqa: S101  # asked for only where there is one
        return client_context(tls)

    name = tls.server_name if tls is not None else ""
    yield Peer(settings.host, settings.port, tls=context if tls is not None else None, server_name=name)


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
    loads=_loads,
    carries="message",
    peers=_peers,
    codes=_codes,
    expects="instances",
    expectation="Sinks that get the message.",
    evidence={"hl7_ack": "ACK", "hl7_control_id": "message HL7"},
    identifiers=("hl7_control_id",),
    remediation=(("HL7-*", "Lire le motif de l'accusé de l'application destinataire ; corriger, puis rejouer."),),
)
