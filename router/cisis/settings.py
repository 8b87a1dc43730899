"""What the check of one feed needs to know: the options that hl7-input §2.2 leaves to the site, with its own names.

French option names are those of the rule table (hl7-input §2.2) and of the decisions (D2–D4, D9).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from router.cisis.rule import Severity
from router.cisis.rules import CONFIGURABLE
from router.language import filled
from router.request import PATIENT_DOMAINS
from router.strict import Strict
from router.structures import Environment

MEBIBYTE = 1024 * 1024


class ProfileRules(Strict):
    """Options of the national profile for one feed. Keys may be written with dashes (`matrice-mssante`)."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    feed: str = Field("", description="Name of the feed; filled by the loader.")
    environment: Environment = Field(
        "production", description="In production the test INS (OID .10, .11) are refused, and MSH-11 is P (D9)."
    )
    senders: tuple[str, ...] = Field(
        (), description="Senders that this feed accepts, as MSH-3 or `MSH-3|MSH-4`; empty = any (R08)."
    )
    structures: tuple[str, ...] = Field(
        (),
        description="FINESS numbers the feed may speak for in PRT-8 of the SB (R65, D11); empty: the site's only one.",
    )
    facilities: dict[str, str] = Field(
        default_factory=dict, description="MSH-4 -> FINESS, for a message without PRT-8; filled by the loader (D11)."
    )
    trust_ins_status: bool = Field(
        False,
        description="Believe `ins-status: VALI` of a raw CDA (D2); else the register alone is asked.",
    )
    autorites: dict[str, str] = Field(
        default_factory=dict,
        description="HL7 assigning authority (`CHU-X&000897406&N`, or its first part) to its OID in the CDA (R41, D3).",
    )
    processing_ids: tuple[Literal["P", "T", "D"], ...] = Field(
        (), description="Values of MSH-11 accepted (R06); empty = P in production, P, T and D in qualification."
    )
    severities: dict[str, Severity] = Field(
        default_factory=dict, description="Rule number to off, warn or error, for rules the table calls configurable."
    )
    accept_2_5_1: bool = Field(True, description="Accept an ORU in 2.5.1 with a warning (R05).")
    charset_fallback: Literal["", "iso-8859-15"] = Field(
        "", description="Charset to try when the bytes don't decode in the declared one (R10); empty = AE."
    )
    rejoin_base64: bool = Field(False, description="Join base64 lines that a raw line end cut from OBX-5 (R01).")
    same_control_id_other_content: Literal["warn", "refuse"] = Field(
        "warn", description="A MSH-10 already used with another content (R13); the gateway applies it."
    )
    metadata_order: Literal["strict", "warn"] = Field("warn", description="Metadata out of the fixed order (R71).")
    matrice_mssante: Literal["off", "warn", "strict"] = Field(
        "warn", description="The volet's matrix of MSSanté combinations (R94); strict refuses what has no row."
    )
    dmp_inadmissible: Literal["volet", "message"] = Field(
        "volet",
        description="R43, R44, R45, R52, R64 with MSSanté also requested: only the DMP leg stops, or the message (D4).",
    )
    dmp_id_extension: Literal["concat", "refuse"] = Field(
        "refuse", description="A document id with an extension for the DMP: submit `root.ext`, or refuse (R64)."
    )
    resolution_annuaire: Literal["jamais", "si-absente"] = Field(
        "jamais", description="Accept a professional RCT without address, to be looked up after the ACK (R81)."
    )
    build_patient_address: bool = Field(
        False, description="Build `<INS>@patient.mssante.fr` when no patient RCT has an address (R82)."
    )
    most_recipients: int = Field(50, gt=0, description="Recipients of one message at most, the patient included (R98).")
    patient_domains: tuple[str, ...] = Field(
        PATIENT_DOMAINS, description="Domains of the patients' mailboxes (Mon espace santé)."
    )
    r86: Literal["skip", "refuse"] = Field(
        "skip", description="A patient address that is not the patient's INS: skip that recipient, or AE."
    )
    r89: Literal["refuse", "allow"] = Field("refuse", description="MASQUE_PS=Y together with DESTMSSANTEPS=Y.")
    r90: Literal["warn", "hold", "refuse"] = Field(
        "warn", description="Confidentiality R or V for the DMP: warn, keep the DMP leg back (Z01 N), or AE."
    )
    local_consumer: bool = Field(
        False, description="A consumer of the site takes documents without any DEST, so R91 doesn't apply."
    )
    auto_presentable: Literal["refuse", "accept"] = Field(
        "refuse", description="A CDA inside an XSLT stylesheet: AE, or take the document inside, bytes untouched (R35)."
    )
    max_message: int = Field(32 * MEBIBYTE, gt=0, description="Bytes of a message at most (R35).")
    max_cda: int = Field(24 * MEBIBYTE, gt=0, description="Bytes of a decoded CDA at most (R35).")

    @field_validator("severities")
    @classmethod
    def _only_configurable(cls, value: dict[str, Severity]) -> dict[str, Severity]:
        wrong = sorted(set(value) - CONFIGURABLE)
        if wrong:
            raise ValueError(
                filled(
                    "not configurable: {names}; these are: {known}",
                    names=", ".join(wrong),
                    known=", ".join(sorted(CONFIGURABLE)),
                )
            )
        return value

    def speaking_for(self, structures: Collection[str]) -> ProfileRules:
        """The same options for a sender who may speak for these structures only; none given: for all of the feed."""
        if not structures:
            return self
        own = tuple(one for one in self.structures if one in structures) or tuple(sorted(structures))
        return self.model_copy(update={"structures": own})

    @property
    def accepted_processing_ids(self) -> tuple[str, ...]:
        """MSH-11 values that this feed takes."""
        return self.processing_ids or (("P",) if self.environment == "production" else ("P", "T", "D"))
