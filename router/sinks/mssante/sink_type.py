"""What the router needs to know of MSSanté as a sink type."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from router.cisis.smtp_codes import LABELS
from router.contracts import Sink
from router.contracts.peers import Peer, Starttls
from router.contracts.sink_type import Answer, Asked, Leg, SinkType
from router.exchange import Delivery, Pseudonyms, recipient_label
from router.request import Recipient, RecipientKind, TransmissionRequest
from router.sinks.mssante.discovery import Discovery, Service
from router.sinks.mssante.safety import unsafe
from router.sinks.mssante.settings import (
    KEEPS,
    LEG,
    NEVER_HAD,
    SLOWED,
    Mode,
    MssanteConfig,
    MssanteOptions,
    SrvConfig,
    TlsConfig,
)
from router.sinks.tools import Tools


def _open(name: str, settings: MssanteConfig, tools: Tools) -> Sink:
    """Raises `OperatorFault` for what production forbids (clear text, redirection, kept mails)."""
    from router.sinks.mssante.sink import MssanteSink

    return MssanteSink(name, settings, tools)


async def _again(name: str, settings: MssanteConfig, tools: Tools, delivery: Delivery, first: float) -> bytes:
    """The mail, as these settings make it. Raises `Refused`, `Malformed`."""
    from router.sinks.mssante.composer import Composer

    composer = Composer(name, settings, tools)
    try:
        return await composer.again(delivery, first)
    finally:
        await composer.close()


def _legs(request: TransmissionRequest, pseudonyms: Pseudonyms) -> Iterator[Leg]:
    """One mail for each recipient, in the recipient's own lane: a mailbox that is full delays nobody else."""
    for recipient in _served(request):
        who = pseudonyms.of("address", recipient.address.lower() or f"rank {recipient.rank}")
        code, reason = recipient.refusal or ("", "")
        refusal = (f"MSS-{code}", reason) if recipient.refusal is not None else None
        yield Leg(f"mss:{who}", recipient_label(recipient), who, recipient, refusal)


def _served(request: TransmissionRequest) -> Iterator[Recipient]:
    """The recipients the metadata allow (R83), one per address: the first RCT of an address answers for it."""
    seen: set[str] = set()
    for recipient in request.recipients:
        wanted = request.mss_patient if recipient.kind == RecipientKind.PATIENT else request.mss_professionals
        address = recipient.address.lower()
        if not wanted or (address and address in seen):
            continue
        seen.add(address)
        yield recipient


def _loads(settings: MssanteConfig) -> Mapping[str, Callable[[], object]]:
    """The files of the two connections as they are read for each."""
    from router.sinks.mssante.tls import client_context

    inbox = settings.imap.tls if settings.imap is not None else None
    parts = {"tls": settings.tls if settings.mode != "plain" else None, "imap.tls": inbox}
    return {key: partial(client_context, tls) for key, tls in parts.items() if tls is not None}


def _peers(settings: MssanteConfig) -> Iterator[Peer]:
    srv = settings.decouverte_srv
    smtp = Peer(settings.host, settings.port, **_security(settings.mode, settings.tls, "smtp"))
    yield _asked(smtp, srv, "submission", settings.mode)
    if (imap := settings.imap) is not None:
        found = Peer(imap.host, imap.port, "imap", **_security(imap.mode, imap.tls or settings.tls, "imap"))
        yield _asked(found, srv, "imap", imap.mode)


def _asked(peer: Peer, srv: SrvConfig | None, service: Service, mode: Mode) -> Peer:
    """The same server, where DNS says that it is."""
    if srv is None:
        return peer
    source = Discovery(srv, service, mode, peer.host)

    def places() -> list[Peer]:
        return [
            replace(peer, host=one.host, port=one.port, server_name=one.names[0], other_names=one.names[1:])
            for one in source.places()
        ]

    return replace(peer, asked=source.name, places=places)


def _security(mode: Mode, tls: TlsConfig, protocol: Starttls) -> dict[str, Any]:
    """Fields of `Peer` that say how a connection is encrypted."""

    def context() -> ssl.SSLContext:
        from router.sinks.mssante.tls import client_context

        return client_context(tls)

    return {"tls": None if mode == "plain" else context, "starttls": protocol if mode == "starttls" else ""}


def _codes() -> tuple[str, ...]:
    """SMTPERRORCODE, and what comes before the conversation."""
    return (
        *(f"MSS-{code}" for code in LABELS),
        "MSS-CRL",
        "MSS-DNS",
        "MSS-MAILBOX",
        "MSS-PRODUCTION",
        "MSS-SMTP",
        "MSS-SRV",
        "MSS-TLS",
        KEEPS,
        NEVER_HAD,
        SLOWED,
    )


MSSANTE = SinkType(
    name="mssante",
    settings=MssanteConfig,
    open=_open,
    again=_again,
    loads=_loads,
    carries="documents",
    legs=_legs,
    asked=(
        Asked("mss_professionals", "mssante", "MSSanté professionnels"),
        Asked("mss_patient", "mssante-patient", "MSSanté patient"),
    ),
    answer=Answer(LEG, "Z02"),
    code="MSS",
    codes=_codes,
    unsafe=unsafe,
    peers=_peers,
    structure="Sink instance that sends its mail (`mssante.chu`).",
    needs={"mailbox": "sends mail but has no mailbox"},
    options=MssanteOptions,
    expects="recipients",
    expectation="Addresses that get a mail, `patient` for the patient's.",
    directory=True,
    evidence={
        "message_id": "Message-ID",
        "queue_id": "file de l'opérateur",
        "smtp": "SMTP",
        "copy": "copie PDF",
        "mail_sha256": "SHA-256 du mail",
        "report_sha256": "SHA-256 de l'accusé",
    },
    identifiers=("message_id", "envid", "queue_id"),
    remediation=(
        (KEEPS, "Prévenir ce destinataire par un autre moyen : il garde une version remplacée ou supprimée."),
        (NEVER_HAD, "Rien à faire : ce destinataire n'a finalement reçu aucune version précédente."),
        ("MSS-552", "Boîte pleine : prévenir le destinataire, puis rejouer."),
        ("MSS-510", "Adresse hors de l'espace de confiance, ou inconnue : la corriger chez l'émetteur, qui renverra."),
        ("MSS-*", "Vérifier l'adresse du destinataire ; corriger à la source ou rejouer."),
    ),
)
