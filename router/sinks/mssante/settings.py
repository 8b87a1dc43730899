"""The configuration of an MSSanté sink, and of the mailbox where its reports come back."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from router.contracts.sink_type import SinkSettings
from router.directory.addresses import addr_spec, idna
from router.language import filled
from router.request import PATIENT_DOMAINS
from router.secret import Secret
from router.strict import Strict

LEG: Final = "mss"
"""How receipts name this leg (`router.payload.reply_context`)."""

SLOWED: Final = "MSS-DEBIT"
"""Code of a mail that waits for its turn, because the site limits how many leave in a minute."""
KEEPS: Final = "MSS-ANCIENNE-VERSION"
"""Code of somebody who keeps a version that a message replaced or deleted without naming him (decisions D19)."""
NEVER_HAD: Final = "MSS-VERSION-NON-REMISE"
"""Code of somebody who was so listed while the mail with that version waited, and never got it."""
AWAITS: Final = "awaits"
"""Evidence of such a line: ids of the deliveries by which somebody has a version, or may get one, blank-separated."""

Auth = Literal["externe", "plain", "login", "xoauth2", "aucune"]
Mode = Literal["starttls", "tls", "plain"]
Address = Annotated[str, AfterValidator(addr_spec)]
Domain = Annotated[str, AfterValidator(idna)]


class TlsConfig(Strict):
    """Whom we trust and who we are. Files are read again at each new connection: renewal needs no restart."""

    ca: Path | None = Field(None, description="PEM of the authorities of the server (IGC-Santé); never the system's.")
    certificate: Path | None = Field(None, description="PEM of our client certificate (ORG AUTH_CLI), chain included.")
    key: Path | None = Field(None, description="PEM of its private key; default: in the certificate's file.")
    key_password: Secret | None = Field(None, description="Where the private key's password is.")
    crl: Path | None = Field(None, description="PEM of the revocation lists; none: revocation is not checked.")
    crl_expired: Literal["accepter", "refuser"] = Field(
        "accepter",
        description="What an expired list does: accepter still refuses what it names, and says so (ECO.1.1.7).",
    )


class LoginConfig(Strict):
    """How we log in, beside the client certificate."""

    auth: Auth = Field("externe", description="SASL mechanism; `aucune`: the client certificate alone.")
    user: str = Field(
        "",
        description="User name; default: the sending mailbox. `externe`: the account that is asked for (authzid); "
        "default: the one that the certificate opens; by IMAP the sending mailbox where several share a certificate.",
    )
    password: Secret | None = Field(None, description="Where the password is (plain, login).")
    token: Secret | None = Field(None, description="Where the access token is (xoauth2).")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.auth in {"plain", "login"} and self.password is None:
            raise ValueError(filled("auth {method} needs `password`", method=self.auth))
        if self.auth == "xoauth2" and self.token is None:
            raise ValueError("auth xoauth2 needs `token`")
        return self


class ImapConfig(Strict):
    """The mailbox where DSN, MDN and answers arrive: that of the sending BAL (mssante §8.6).

    Sinks and structures whose account is the same share it: it is read once, as the first sink says.
    """

    host: str = Field(description="IMAP host of the operator.")
    port: int = Field(143, ge=1, le=65535)
    mode: Mode = Field("starttls", description="starttls, tls, or plain (qualification only).")
    login: LoginConfig = Field(default_factory=LoginConfig, description="How we log in.")
    tls: TlsConfig | None = Field(None, description="Default: that of the sink.")
    inbox: str = Field("INBOX", description="Folder that is read.")
    done: str = Field("Traités", description="Where reports go once told.")
    quarantine: str = Field("Quarantaine", description="Where what can't be correlated goes.")
    human: str = Field("Humain", description="Where mail written by people goes: somebody must read it.")
    poll_seconds: float = Field(30, gt=0, description="Time between two readings.")
    timeout: float = Field(
        60, gt=0, description="Seconds without a byte; a whole command: 10 times that, and 1 s for each 16 kB."
    )
    max_mail_bytes: int = Field(40_000_000, ge=100_000, description="Larger mails go to quarantine unread.")
    max_each_poll: int = Field(200, ge=1, description="Mails handled in one reading.")

    def account(self, user: str, tls: TlsConfig) -> tuple[str, ...]:
        """What makes it one inbox: two that are equal must be read once. `user`, `tls`: as the sink says."""
        certified = self.login.auth in ("externe", "aucune")
        shown = str((self.tls or tls).certificate) if certified else ""
        who = (self.login.user or user).lower() if self.login.auth != "aucune" else ""
        inbox = "INBOX" if self.inbox.upper() == "INBOX" else self.inbox  # RFC 3501 §5.1
        return (self.host.lower(), str(self.port), shown, who, inbox)


class SrvConfig(Strict):
    """Where the operator's servers are, asked of DNS (SRV; RFC 6186, RFC 8314).

    `host` and `port` of the sink and of `imap` stay the names under which the site counts, traces and reads; `mode`
    says which service is asked for: `_submission` and `_imap` (starttls), or `_submissions` and `_imaps` (tls).
    """

    domaine: Domain = Field(
        description="Domain of the operator, of which `_submission._tcp` and so on are asked. Its servers must lie in "
        "it, and their certificates bear `host` or this domain."
    )
    cibles: tuple[Domain, ...] = Field(
        (),
        description="Hosts and domains more where servers may be; there a certificate may also bear the host that DNS "
        "names.",
    )
    serveurs: tuple[str, ...] = Field(
        (), description="Addresses of the DNS servers, `address` or `address#port`; none: those of the machine."
    )
    timeout: float = Field(5, gt=0, description="Seconds for an answer of DNS.")

    @field_validator("serveurs")
    @classmethod
    def _addresses(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for one in servers:
            address, _, port = one.partition("#")
            try:
                ip_address(address)
                right = not port or 0 < int(port) <= 65_535
            except ValueError:
                right = False
            if not right:
                raise ValueError(filled("{server} is no address of a DNS server", server=one))
        return servers


class FeedbackRules(Strict):
    """How reports are read into answers (mssante §8.3, §8.4)."""

    relayed: Literal["oui", "silence"] = Field("oui", description="DSN `relayed`: Z02 Y, or nothing.")
    deleted: Literal["non", "silence"] = Field("non", description="MDN `deleted`: Z03 N 906, or nothing.")
    authserv_id: str = Field(
        "",
        description="Name of the operator in the Authentication-Results that it writes (RFC 8601); then a read receipt "
        "needs a pass for its author's domain, and no report may have failed. '': the operator writes none.",
    )
    dsn_wait_days: float = Field(5, gt=0, description="After that a mail without any DSN is flagged sans nouvelles.")


PLACEHOLDERS: Final = ("titre", "date", "id", "ancien", "structure", "formes")
"""Words in braces that our texts may hold."""


class TextsConfig(Strict):
    """Our own texts. {titre} {date} {id} {ancien} {structure} {formes} are replaced; '' keeps the shipped one."""

    @field_validator("*")
    @classmethod
    def _known(cls, text: str) -> str:
        """A word in braces that nothing replaces would reach the reader as it stands."""
        for name in re.findall(r"\{(\w+)\}", text):
            if name not in PLACEHOLDERS:
                known = ", ".join(PLACEHOLDERS)
                raise ValueError(
                    filled("`{name}` in braces is replaced by nothing; known: {known}", name=name, known=known)
                )
        return text

    initial_ps: str = ""
    initial_patient: str = ""
    replace_ps: str = ""
    replace_patient: str = ""
    delete_ps: str = ""
    delete_patient: str = ""
    replace_earlier: str = ""
    delete_earlier: str = ""
    delete_unsent_ps: str = ""
    delete_unsent_patient: str = ""


class MssanteOptions(Strict):
    """What a pipeline says of its mails."""

    pdf_copy: bool = Field(True, description="mssante: attach the PDF copy beside the archive (ECO.2.1.1).")


class MssanteConfig(SinkSettings):
    """Send documents by MSSanté, through the operator of the sending mailboxes."""

    type: Literal["mssante"] = "mssante"
    host: str = Field(description="SMTP submission host of the operator.")
    port: int = Field(587, ge=1, le=65535, description="Submission port.")
    mode: Mode = Field("starttls", description="starttls, tls, or plain (qualification only).")
    decouverte_srv: SrvConfig | None = Field(
        None, description="Ask DNS where the servers are, of submission and of `imap`; none: they are at `host`."
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="Authorities and client certificate.")
    login: LoginConfig = Field(default_factory=LoginConfig, description="How we log in.")
    mailbox: Address | None = Field(None, description="Sending BAL when the structure names none.")
    helo: str = Field("", description="Name given in EHLO; default: the domain of the mailbox.")
    connections: int = Field(2, ge=1, le=50, description="Parallel connections.")
    mails_per_minute: float | None = Field(
        None,
        ge=6,
        description="Mails that the operator takes in a minute, of all sinks and processes; none: no limit.",
    )
    mailbox_mails_per_minute: float | None = Field(
        None, ge=6, description="Mails that may leave one sending mailbox in a minute; none: no limit."
    )
    idle_seconds: float = Field(30, ge=0, description="How long an idle connection is kept.")
    timeout: float = Field(60, gt=0, description="Seconds before a command is abandoned.")
    data_timeout: float = Field(600, gt=0, description="Seconds to wait for the answer to the final dot (RFC 5321).")
    max_mail_bytes: int = Field(50_000_000, ge=100_000, description="Encoded bytes of a mail we send at most.")
    max_patient_mail_bytes: int = Field(25_000_000, ge=100_000, description="Limit of Mon espace santé.")
    patient_domains: tuple[Domain, ...] = Field(PATIENT_DOMAINS, min_length=1, description="Patients' mailboxes.")
    nil: str = Field("", description="X-MSS-NIL: product reference of convergence.esante.gouv.fr.")
    software: str = Field("segur-router", description="Name of the software in README.TXT.")
    vendor: str = Field("", description="Who answers for that software, in README.TXT.")
    accents: bool = Field(False, description="Keep accents outside the first word of the subject.")
    xdm_action_slot: str = Field(
        "urn:ans:ci-sis:action", description="Slot that says replace (C) or delete (D) in METADATA.XML."
    )
    xdm_action_level: Literal["fiche", "lot"] = Field("fiche", description="On each document entry, or on the set.")
    default_class: str = Field(
        "10", description="classCode (JDV_J57) of a document whose type the table doesn't know; '' refuses the mail."
    )
    z02_sans_dsn: Literal["silence", "soumission"] = Field(
        "silence", description="Operator without DSN: no Z02 Y, or one at submission (weaker than the volet's meaning)."
    )
    n3_sans_pdf: Literal["rendre", "zip-seul", "refuser"] = Field(
        "rendre",
        description="A document without a PDF copy: make one of its text, send the archive alone, or send nothing.",
    )
    trop_gros: Literal["sans-copie", "refuser"] = Field(
        "sans-copie",
        description="A mail that is too large for the operator or for Mon espace santé: leave out the PDF copy and say "
        "so in the mail, for the archive holds the document; or send nothing (Z02 `N` 523).",
    )
    suppression_patient: Literal["avis-seul", "envoyer", "retenir"] = Field(
        "avis-seul", description="Deletion told to a patient: notice alone, with the document, or not sent (D1)."
    )
    anciens_destinataires: Literal["lister", "prevenir"] = Field(
        "lister",
        description="Who had the version before and is not among the recipients of its replacement or deletion: list "
        "him, or send him a notice without any document (professionals only; D19).",
    )
    avis_devant_corps: bool = Field(True, description="Put our notice before the sender's text on replace and delete.")
    return_receipt_to: bool = Field(False, description="Also write the non-standard Return-Receipt-To.")
    redirect_all_mail: Address | None = Field(None, description="Everything goes to this address; never in production.")
    keep: Path | None = Field(None, description="Folder where each mail is kept as .eml; qualification only.")
    on_unknown: Literal["repeat", "hold"] = Field(
        "repeat", description="After a cut behind the final dot: send again with the same Message-ID, or ask a person."
    )
    imap: ImapConfig | None = Field(None, description="Where reports are read; none: no Z02 Y, no Z03.")
    feedback: FeedbackRules = Field(default_factory=FeedbackRules, description="How reports are read.")
    texts: TextsConfig = Field(default_factory=TextsConfig, description="Default bodies of the mails.")

    @model_validator(mode="after")
    def _secure(self) -> Self:
        if self.mode != "plain" and self.tls.ca is None:
            raise ValueError("`tls.ca` is required: only the authorities of the espace de confiance may be trusted")
        return self
