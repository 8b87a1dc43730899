"""What the router needs to know of MSSanté as a sink type."""

from __future__ import annotations

from collections.abc import Iterator

from router.contracts import Sink
from router.contracts.sink_type import Answer, Asked, Leg, SinkType, Unsafe
from router.exchange import Pseudonyms, recipient_label
from router.request import Recipient, RecipientKind, TransmissionRequest
from router.sinks.mssante.settings import LEG, MssanteConfig, MssanteOptions
from router.sinks.tools import Tools


def _open(name: str, settings: MssanteConfig, tools: Tools) -> Sink:
    """Raises `OperatorFault` for what production forbids (clear text, redirection, kept mails)."""
    from router.sinks.mssante.sink import MssanteSink

    return MssanteSink(name, settings, tools)


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


def _unsafe(settings: MssanteConfig) -> Iterator[Unsafe]:
    """SMTP and IMAP have TLS, and the product says its number (mssante §1.1, §7)."""
    if settings.mode == "plain":
        yield Unsafe("mode", "SMTP without TLS: qualification only", "starttls or tls")
    if settings.imap is not None and settings.imap.mode == "plain":
        yield Unsafe("imap.mode", "IMAP without TLS: qualification only", "starttls or tls")
    if not settings.nil:
        text = "is required in production: X-MSS-NIL names the product to the espace de confiance"
        yield Unsafe("nil", text, "its reference on convergence.esante.gouv.fr")


MSSANTE = SinkType(
    name="mssante",
    settings=MssanteConfig,
    open=_open,
    carries="documents",
    legs=_legs,
    asked=(
        Asked("mss_professionals", "mssante", "MSSanté professionnels"),
        Asked("mss_patient", "mssante-patient", "MSSanté patient"),
    ),
    answer=Answer(LEG, "Z02"),
    code="MSS",
    unsafe=_unsafe,
    structure="Sink instance that sends its mail (`mssante.chu`).",
    needs={"mailbox": "sends mail but has no mailbox"},
    options=MssanteOptions,
    expects="recipients",
    expectation="Addresses that get a mail, `patient` for the patient's.",
    directory=True,
    evidence={"message_id": "Message-ID", "queue_id": "file de l'opérateur", "smtp": "SMTP", "copy": "copie PDF"},
    identifiers=("message_id", "envid", "queue_id"),
    remediation=(
        ("MSS-552", "Boîte pleine : prévenir le destinataire, puis rejouer."),
        ("MSS-510", "Adresse hors de l'espace de confiance, ou inconnue : la corriger chez l'émetteur, qui renverra."),
        ("MSS-*", "Vérifier l'adresse du destinataire ; corriger à la source ou rejouer."),
    ),
)
