"""What the sender asked, in one canonical model whatever the dialect (volet CI-SIS 1.2, 2.0, 2.1, raw CDA).

`router.cisis` is the only writer of a `TransmissionRequest`, `router.cda` the only writer of a
`DocumentHeader`; steps, sinks and XDS only read them. Both travel as JSON inside a delivery, so a sink
never opens the HL7 message again. Dates and times keep the precision and the offset of their source,
in the HL7 TS form (`YYYY[MM[DD[HHMM[SS]]]][+/-ZZZZ]`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from router.strict import Silent


class Action(StrEnum):
    """ORC-1 / OBX-11 / MSH-9.2, reconciled (hl7-input §2.3)."""

    INITIAL = "initial"
    REPLACE = "replace"
    DELETE = "delete"


class Dialect(StrEnum):
    """The generation of the sender, from MSH-21 (hl7-input §1.7). `CDA` is the raw intake."""

    V1_2 = "1.2"
    V2_0 = "2.0"
    V2_1 = "2.1"
    CDA = "cda"


PATIENT_DOMAINS: Final = ("patient.mssante.fr",)
"""Domains of the patients' mailboxes (Mon espace santé), unless the site names others."""


class RecipientKind(StrEnum):
    """Kind of a PRT `RCT` (mssante §4.1)."""

    PATIENT = "patient"
    PROFESSIONAL = "professional"
    ORGANISATION = "organisation"
    APPLICATION = "application"
    ADDRESS = "address"


class Identifier(Silent):
    """A patient identifier: CX of PID-3 or II of the CDA. `kind` is CX-5 (`INS`, `PI`, `NH`…), "" in a CDA."""

    value: str
    authority: str = Field("", description="OID of the assigning authority, or '' when the sender gave none.")
    namespace: str = Field("", description="HD-1, as received.")
    kind: str = ""


class Patient(Silent):
    """The patient as the message (or the CDA) names him.

    `ins` is set only when the identity is *qualified* (PID-32 holds VALI and a well-formed INS is there):
    an INS that is not qualified leaves by no road (decisions D2), so it isn't even carried here.
    """

    ins: Identifier | None = None
    ipp: Identifier | None = None
    identifiers: tuple[Identifier, ...] = Field((), description="Those that may travel: never an unqualified INS.")
    status: tuple[str, ...] = Field((), description="PID-32 repetitions.")
    birth_family: str = ""
    used_family: str = ""
    given: str = Field("", description="First given name (XPN-2 / given[@qualifier='BR']).")
    used_given: str = Field("", description="Given name that is used (CL, XPN type D or S): not the one of birth.")
    given_list: str = Field("", description="Of a CDA: names of which the first is `given`, and may be compound (R42).")
    given_names: str = Field("", description="Full list of given names, blank-separated.")
    birth_date: str = Field("", description="YYYYMMDD, or less, as received.")
    sex: str = Field("", description="M, F, U…")
    birthplace: str = Field("", description="COG (INSEE) code of the birthplace.")

    @property
    def qualified(self) -> bool:
        return self.ins is not None


class Professional(Silent):
    """A person (XCN). `id` is the PS_IdNat (prefix + number, dmp §2.1), `kind` IDNPS, EI, RPPS…"""

    id: str = ""
    kind: str = "IDNPS"
    family: str = ""
    given: str = ""
    specialty: tuple[str, str, str] | None = Field(None, description="(code, label, code system OID)")
    role: str = Field("", description="functionCode/@displayName")


class Device(Silent):
    """An author that is a piece of software."""

    id: str = ""
    authority: str = Field(
        "", description="OID of the authority that gave the id; '' when unknown, or the id is an OID."
    )
    name: str = ""
    model: str = ""
    role: str = Field("", description="functionCode/@displayName")
    specialty: tuple[str, str, str] | None = Field(None, description="(code, label, code system OID)")


class Structure(Silent):
    """An organisation (XON). `id` is the Struct_IdNat (`1` + FINESS…, dmp §2.1); `finess` the bare number."""

    id: str = ""
    name: str = ""
    kind: str = Field("", description="XON-7 as received: FINEG, FINEJ, IDNST, UF, SVR…")
    finess: str = ""


class Author(Silent):
    """Who made the document, or who sends it (PRT `SB`)."""

    person: Professional | None = None
    device: Device | None = None
    structure: Structure | None = None
    time: str = ""


class Recipient(Silent):
    """One PRT `RCT`: one mail, one Z02, one Z03."""

    rank: int = Field(description="Occurrence of the PRT in the message, from 1: ERR-2 location `PRT^rank`.")
    kind: RecipientKind
    address: str = Field("", description="PRT-15.4 cleaned: one addr-spec, domain lower case A-label; '' if absent.")
    address_received: str = Field("", description="PRT-15.4 as received, for OBX2-5 of the Z02.")
    id: str = Field("", description="PRT-5.1, else PRT-8.10, else PRT-10.1: OBX2-4 of the Z02.")
    person: Professional | None = None
    structure: Structure | None = None
    owner: str = Field("", description="PRT-8.6: owner of a UF / SVR number.")
    application: str = Field("", description="PRT-10.1.")
    refusal: tuple[str, str] | None = Field(
        None, description="(SMTPERRORCODE, reason in French) when a rule forbids this recipient: never sent, Z02 N."
    )


class Masks(Silent):
    """The visibility metadata of the volet (OBX MetaDMPMSS 1 to 5)."""

    masque_ps: bool = False
    invisible_patient: bool = False
    invisible_rep_legaux: bool = False
    connexion_secrete: bool = False
    modif_conf_code: bool = False


class Code(Silent):
    """A coded value: code, OID of the code system, label."""

    code: str
    system: str = ""
    label: str = ""


class DocumentHeader(Silent):
    """What both sinks need of a CDA, read once (hl7-input §6.2). The bytes themselves are never touched."""

    uid: str = Field(description="id/@root")
    extension: str = Field("", description="id/@extension")
    set_id: str = Field("", description="setId root, or `root^extension`; '' when absent")
    version: str = ""
    replaces: str = Field("", description="relatedDocument[@typeCode='RPLC']/parentDocument/id, `root` or `root^ext`")
    level: int = Field(description="1 = nonXMLBody, 3 = structuredBody")
    media_type: str = Field("", description="nonXMLBody/text/@mediaType (N1)")
    template_ids: tuple[str, ...] = ()
    code: Code
    title: str = ""
    effective_time: str = ""
    confidentiality: Code
    language: str = "fr-FR"
    patient: Patient = Field(description="From recordTarget; `ins` here is the INS *as written*, qualified or not.")
    patients: int = Field(1, description="Patients that recordTarget names; a document is one patient's (R39).")
    authors: tuple[Author, ...] = ()
    custodian: Structure | None = None
    legal_authenticator: Author | None = None
    act: Code | None = Field(None, description="documentationOf/serviceEvent/code of the main act")
    events: tuple[Code, ...] = Field((), description="every serviceEvent/code, main act first")
    start_time: str = ""
    stop_time: str = ""
    practice_setting: Code | None = None
    facility_type: Code | None = None
    orders: tuple[Identifier, ...] = Field((), description="inFulfillmentOf/order/id")
    stylesheet: bool = Field(False, description="An xml-stylesheet instruction precedes the root.")
    self_presenting: bool = Field(False, description="The document stands inside a stylesheet (decisions D14).")
    size: int = Field(0, description="Bytes of the document as received.")
    sha1: str = Field("", description="Hex SHA-1 of those bytes.")

    @property
    def id(self) -> str:
        """`root`, or `root^extension`."""
        return f"{self.uid}^{self.extension}" if self.extension else self.uid


class TransmissionRequest(Silent):
    """The sender's demand. A pipeline may narrow it, never widen it (decisions D5)."""

    dialect: Dialect
    action: Action
    feed: str
    control_id: str = Field(description="MSH-10 (or the request id of a raw CDA): OBX-4 of every ZAM.")
    sending: tuple[str, str] = Field(("", ""), description="MSH-3.1, MSH-4.1")
    receiving: tuple[str, str] = Field(("", ""), description="MSH-5.1, MSH-6.1")
    charset: str = Field("UNICODE UTF-8", description="MSH-18 to answer with.")
    processing_id: str = "P"
    patient: Patient
    encounter_class: str = Field("", description="PV1-2")
    sender: Author | None = Field(None, description="PRT SB: feeds the VIHF and the author of the submission set.")
    speaks_for: str = Field("", description="FINESS of the site's structure that sends (decisions D11).")
    reply_to: str = Field("", description="PRT REPLY, PRT-15.4")
    recipients: tuple[Recipient, ...] = Field(
        (), description="All of the message; inside a delivery, its own recipient only."
    )
    dmp: bool = False
    mss_professionals: bool = False
    mss_patient: bool = False
    masks: Masks = Masks()
    ack_reception: bool = False
    ack_lecture: bool = False
    no_reply: bool = Field(False, description="NTE-4 = FIN after DESTMSSANTEPAT: X-MSS-MES: FIN on the patient's mail.")
    body_professionals: str | None = None
    body_patient: str | None = None
    documents: tuple[DocumentHeader, ...] = Field((), description="One, or the N1 + N3 pair, in message order.")
    replaces: str = Field("", description="TXA-13 or the CDA's parent id; '' unless action is replace.")
    dmp_inadmissible: tuple[str, str] | None = Field(
        None,
        description="(rule number, reason in French) when the DMP leg can't be tried but the rest goes on (D4): Z01 N.",
    )
    warnings: tuple[str, ...] = Field((), description="Rule numbers and reasons, without any value.")

    @property
    def principal(self) -> DocumentHeader:
        """The document that gives the lineage: the N3 of a pair, else the only one (decisions D7)."""
        return next((d for d in self.documents if d.level == 3), self.documents[0])
