"""How a simulated operator behaves, and what it tells of each mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from router.simulators.authority import Certificates
from router.simulators.mssante.inspect import Finding
from router.simulators.script import pseudonym
from router.simulators.sender.people import DOCTOR_DOMAIN, HOSPITAL_DOMAIN, PATIENT_DOMAIN

Auth = Literal["none", "plain", "external"]
Reading = Literal["displayed", "deleted", "denied", "dispatched", "a", "b", "c", "courriel"]


@dataclass(frozen=True, slots=True)
class MssanteConfig:
    """An MSSanté operator (mssante §7, §8).

    domains: those it delivers to; everything else is outside the espace de confiance.
    accounts: address -> password of the mailboxes that may submit and read; its domains are hosted here.
    certificates: with them STARTTLS is offered. client_certificate: TLS clients must show one of the authority.
    auth: `none` takes whoever has passed TLS; `plain` and `external` ask for it before MAIL.
    imap_tls: implicit TLS on the IMAP port, else STARTTLS when there are certificates.
    dsn: whether the extension is advertised. read: recipient -> how his mailbox answers a read request by itself.
    report_delay: seconds between acceptance and the delivery report.
    """

    certificates: Certificates | None = None
    host: str = "127.0.0.1"
    smtp_port: int = 0
    imap_port: int = 0
    control_port: int | None = 0
    domains: frozenset[str] = frozenset({DOCTOR_DOMAIN, HOSPITAL_DOMAIN, PATIENT_DOMAIN, "hopital-a.test.mssante.fr"})
    accounts: Mapping[str, str] = field(default_factory=dict)
    client_certificate: bool = False
    starttls_required: bool = True
    auth: Auth = "none"
    imap_tls: bool = False
    size_limit: int = 25_000_000
    dsn: bool = True
    read: Mapping[str, Reading] = field(default_factory=dict)
    report_delay: float = 0.0
    folder: Path | None = None
    uid_validity: int = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Envelope:
    """What MAIL and RCPT said, xtext decoded (RFC 3461). `body` is MAIL's BODY parameter."""

    sender: str
    recipient: str
    envid: str = ""
    ret: str = ""
    notify: tuple[str, ...] = ()
    orcpt: str = ""
    size: int = 0
    body: str = ""
    login: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail taken over, in the order of arrival. `at`: Unix seconds. `confirmed`: whether the 250 was sent."""

    sequence: int
    at: float
    envelope: Envelope = field(repr=False)
    raw: bytes = field(repr=False)
    message_id: str
    digest: str
    findings: tuple[Finding, ...]
    documents: tuple[str, ...]
    set_id: str
    action: str
    patient: str = field(repr=False)
    delivered: bool
    confirmed: bool

    def shown(self) -> dict[str, object]:
        """As the control port lists it: no identity of a patient."""
        to = self.envelope.recipient
        return {
            "sequence": self.sequence,
            "at": self.at,
            "from": self.envelope.sender,
            "recipient": f"patient:{pseudonym(to)}" if to.endswith(f"@{PATIENT_DOMAIN}") else to,
            "message_id": self.message_id,
            "envid": self.envelope.envid,
            "digest": self.digest,
            "size": len(self.raw),
            "action": self.action,
            "documents": self.documents,
            "set": self.set_id,
            "patient": pseudonym(self.patient[:15]) if self.patient else "",
            "delivered": self.delivered,
            "confirmed": self.confirmed,
            "findings": [f"{one.place}: {one.text}" for one in self.findings],
        }
