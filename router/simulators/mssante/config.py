"""How a simulated operator behaves, and what it tells of each mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from router.simulators.authority import Certificates
from router.simulators.mssante.inspect import Finding, Inspection, inspect
from router.simulators.script import pseudonym
from router.simulators.sender.people import DOCTOR_DOMAIN, HOSPITAL_DOMAIN, PATIENT_DOMAIN

Auth = Literal["none", "plain", "external"]
Keep = Literal["all", "findings", "envelope"]
Reading = Literal["displayed", "deleted", "denied", "dispatched", "a", "b", "c", "courriel"]


@dataclass(frozen=True, slots=True)
class MssanteConfig:
    """An MSSanté operator (mssante §7, §8).

    domains: those it delivers to; everything else is outside the espace de confiance.
    accounts: address -> password of the mailboxes that may submit and read; its domains are hosted here.
    owners: address -> Struct_IdNat of the certificate that opens it; any opens one that is not here.
    certificates: with them STARTTLS is offered. client_certificate: TLS clients must show one of the authority.
    auth: `none` takes whoever has passed TLS; `plain` and `external` ask for it before MAIL. IMAP asks for the same,
    with `none` for a password or, behind a client certificate, for EXTERNAL.
    imap_tls: implicit TLS on the IMAP port, else STARTTLS when there are certificates.
    dsn: whether the extension is advertised. read: recipient -> how his mailbox answers a read request by itself.
    report_delay: seconds between acceptance and the delivery report.
    keep: `all` keeps every byte and inspects a mail when somebody asks; `findings` inspects on arrival and forgets
    the bytes (long runs); `envelope` doesn't look inside (benchmarks). Accounts always keep their mail.
    """

    certificates: Certificates | None = None
    host: str = "127.0.0.1"
    smtp_port: int = 0
    imap_port: int = 0
    control_port: int | None = 0
    domains: frozenset[str] = frozenset({DOCTOR_DOMAIN, HOSPITAL_DOMAIN, PATIENT_DOMAIN, "hopital-a.test.mssante.fr"})
    accounts: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    client_certificate: bool = False
    starttls_required: bool = True
    auth: Auth = "none"
    imap_tls: bool = False
    size_limit: int = 25_000_000
    dsn: bool = True
    read: Mapping[str, Reading] = field(default_factory=dict)
    report_delay: float = 0.0
    folder: Path | None = None
    keep: Keep = "all"
    uid_validity: int = 1_700_000_000

    @property
    def reading(self) -> tuple[str, ...]:
        """SASL mechanisms that the IMAP port takes."""
        if self.auth == "none":
            return ("PLAIN", "EXTERNAL") if self.client_certificate else ("PLAIN",)
        return (self.auth.upper(),)


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


@dataclass(frozen=True)
class Mail:
    """One mail taken over, in the order of arrival. `at`: Unix seconds. `confirmed`: whether the 250 was sent.

    `raw` is empty when the operator doesn't keep it; `size` and `digest` (SHA-256) are those of what arrived.
    """

    sequence: int
    at: float
    envelope: Envelope = field(repr=False)
    raw: bytes = field(repr=False)
    size: int
    message_id: str
    digest: str
    delivered: bool
    confirmed: bool
    inspected: Inspection | None = field(default=None, repr=False)

    @cached_property
    def inspection(self) -> Inspection:
        """What is inside: made on arrival, else at the first look; empty when the bytes weren't kept."""
        if self.inspected is not None:
            return self.inspected
        return inspect(self.raw, self.envelope.sender, self.envelope.recipient) if self.raw else Inspection()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The rules it breaks."""
        return tuple(self.inspection.findings)

    @property
    def documents(self) -> tuple[str, ...]:
        """uniqueId of its documents."""
        return tuple(self.inspection.documents)

    @property
    def named(self) -> tuple[str, ...]:
        """uniqueId of the documents that a notice speaks of; nothing when it brings documents."""
        return tuple(self.inspection.named)

    @property
    def action(self) -> str:
        """C, D, or "" for a first sending."""
        return self.inspection.action

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
            "size": self.size,
            "action": self.action,
            "documents": self.documents,
            "set": self.inspection.set_id,
            "patient": pseudonym(self.inspection.patient[:15]) if self.inspection.patient else "",
            "delivered": self.delivered,
            "confirmed": self.confirmed,
            "findings": [f"{one.place}: {one.text}" for one in self.findings],
        }
