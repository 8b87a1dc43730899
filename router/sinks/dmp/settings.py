"""The configuration of a DMP sink: one structure, its two certificates, and how its transactions are made."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator

from router.contracts.sink_type import SinkSettings
from router.secret import Secret
from router.strict import Strict

LEG: Final = "dmp"
"""How receipts name this leg (`router.payload.reply_context`)."""

Verdict = Literal["success", "retry", "limited", "permanent", "duplicate", "requery", "business", "config"]
"""What an answer of the DMP means: see `router.sinks.dmp.verdicts`."""


class CertificateConfig(Strict):
    """A certificate of the IGC-Santé and its private key. Files are read again when they change."""

    certificate: Path = Field(description="PEM of the certificate, its issuers after it.")
    key: Path | None = Field(None, description="PEM of the private key; default: in the certificate's file.")
    key_password: Secret | None = Field(None, description="Where the private key's password is.")


class LpsConfig(Strict):
    """How the software presents itself in the VIHF (dmp §3)."""

    name: str = Field("segur-router", description="LPS_Nom.")
    version: str = Field("", description="LPS_Version; empty = the version of this router.")
    homologation: str = Field(description="LPS_ID_HOMOLOGATION_DMP: number given by the CNDA.")
    id: str = Field("", description="LPS_ID; optional.")


class VihfConfig(Strict):
    """What of the VIHF depends on the homologation or on the local login (dmp §3, appendix B)."""

    version: str = Field("4.0", description="VIHF_Version.")
    mode_attribute: str = Field(
        "Authentification_mode", description="Spelling of the attribute; some platforms want Authentification_Mode."
    )
    authn_class: str = Field(
        "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified", description="AuthnContextClassRef of the local login."
    )
    responsible: str = Field(
        "", description="PS_IdNat of who answers for the automated sending (3<FINESS>/<id>), if PRT SB names nobody."
    )
    unknown_role: Literal["automate", "refuse"] = Field(
        "automate", description="When the sender's profession is unknown: present an AUTOMATE, or send nothing."
    )


class DmpConfig(SinkSettings):
    """Feed the DMP for one structure, in indirect authentication with organisation certificates."""

    type: Literal["dmp"] = "dmp"
    url: str = Field(description="Base address, e.g. https://lps2.dmp.gouv.fr/si-dmp-server/v2/services")
    repository: str = Field("/repository", description="Path of TD2.1.")
    registry: str = Field("/registry", description="Path of TD3.1b and TD3.3c.")
    patients: str = Field("/patients", description="Path of TD0.2.")
    production_hosts: tuple[str, ...] = Field(
        ("lps2.dmp.gouv.fr",), description="Hosts of production: they and the site's environment must agree (D9)."
    )
    auth: CertificateConfig = Field(description="ORG AUTH_CLI: our side of the TLS connection.")
    sign: CertificateConfig = Field(description="ORG SIGN (cachet): signs the VIHF and the lots.")
    server_ca: Path | None = Field(None, description="PEM of the authorities of the server; none: the system's.")
    crl: Path | None = Field(None, description="PEM of the server's revocation lists; none: not checked.")
    crl_expired: Literal["accepter", "refuser"] = Field(
        "refuser", description="What an expired list does: accepter still refuses what it names, and says so."
    )
    ciphers: str = Field(
        "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES256-GCM-SHA384",
        description="Suites of PDT-INF-579, OpenSSL names.",
    )
    proxy: str = Field("", description="HTTP proxy to go through, if any.")
    lps: LpsConfig = Field(description="The software's name and numbers.")
    vihf: VihfConfig = Field(default_factory=VihfConfig, description="What of the VIHF is not the message's.")
    lot_digest: Literal["sha1", "sha256"] = Field("sha1", description="Algorithms of the lot's signature.")
    on_unknown: Literal["verify", "hold"] = Field(
        "verify", description="An attempt of unknown outcome: ask the DMP (TD3.1b), or wait for a person."
    )
    preflight: Literal["off", "cached"] = Field(
        "off", description="TD0.2 before feeding, once a day and patient: it may explain a refusal, TD2.1 decides."
    )
    replace_when_absent: Literal["publish", "fail"] = Field(
        "fail", description="A replacement whose predecessor our ledger proves never fed: publish it, or refuse (D1)."
    )
    restricted: Literal["refuse", "send"] = Field("refuse", description="Documents of confidentiality R or V.")
    default_class: str = Field("", description="classCode for types that the table doesn't know; none: refuse.")
    tables: Path | None = Field(None, description="Folder whose CSV files replace our tables of codes.")
    verdicts: dict[str, Verdict] = Field(
        default_factory=dict, description="Code of the DMP -> what it means; overrides our table."
    )
    naive_time: str = Field("Europe/Paris", description="Time zone of times without offset; '' refuses them.")
    max_future: float = Field(300, ge=0, description="Seconds a document may be dated ahead: we wait as long.")
    max_document_bytes: int = Field(50_000_000, gt=0, description="Larger documents are refused before sending.")
    max_answer_bytes: int = Field(4_000_000, gt=0, description="Larger answers are not read.")
    max_per_second: float = Field(
        4,
        gt=0,
        description="Feeding transactions per second of a structure, over all processes; under 5 in production.",
    )
    connections: int = Field(8, ge=1, le=100, description="Connections at once.")
    keep_alive: float = Field(20, ge=0, description="Seconds after which an idle connection is not used again.")
    connect_timeout: float = Field(10, gt=0, description="Seconds to connect.")
    read_timeout: float = Field(
        60,
        gt=0,
        description="Seconds without a byte; a whole call: 10 times that, and 1 s for each 16 kB.",
    )
    visibility_delay: float = Field(30, ge=0, description="Seconds until TD3.1b surely shows what was fed.")
    keep: Path | None = Field(None, description="Folder for every request and answer: qualification only.")

    @field_validator("url")
    @classmethod
    def _https(cls, url: str) -> str:
        if not url.startswith("https://"):
            raise ValueError("the DMP is reached over TLS: the address begins with https://")
        return url.rstrip("/")
