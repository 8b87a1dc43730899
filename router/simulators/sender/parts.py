"""A message from what was asked of it: header, patient, order, documents, participations, metadata."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.simulators.sender import cda, hl7
from router.simulators.sender.er7 import esc, segment
from router.simulators.sender.hl7 import DIALECTS, STATUS, Recipient
from router.simulators.sender.options import Action, CdaSample, MessageOptions
from router.simulators.sender.people import Patient

_LOINC: Final = "2.16.840.1.113883.6.1"
_MASKS: Final = ("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE")
_BODIES: Final = ("body_professionals", "CORPSMAIL_PS"), ("body_patient", "CORPSMAIL_PATIENT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One message to write. `event` is the trigger (`R01`, `T02`, `T10`, `T04`)."""

    event: str
    action: Action
    dialect: str
    documents: Sequence[CdaSample]
    patient: Patient
    recipients: Sequence[Recipient]
    dmp: bool
    patient_mail: bool
    ack_reception: bool
    ack_lecture: bool
    control_id: str
    status: Sequence[str]
    when: dt.datetime
    facility: str
    options: MessageOptions

    @property
    def mdm(self) -> bool:
        return self.event != "R01"

    @property
    def style(self) -> hl7.Dialect:
        return DIALECTS[self.dialect]


def segments(asked: Asked) -> list[str]:
    """The whole message, one string per segment."""
    options = asked.options
    lines = [
        hl7.msh(
            options.get("sending", ("RIS-A" if asked.mdm else "SIL-A", asked.facility)),
            options.get("receiving", ("PFI", "PFI")),
            asked.when,
            hl7.name_of(asked.event),
            control=asked.control_id,
            processing=options.get("processing", "P"),
            version=options.get("version", "2.6" if asked.mdm else "2.5"),
            charset=options.get("charset", "UNICODE UTF-8"),
            profile=asked.style.profile,
        )
    ]
    if asked.mdm:
        lines.append(segment("EVN", {2: f"{asked.when:%Y%m%d%H%M%S}"}))
    billing = options.get("billing_nir", "")
    lines += [
        hl7.pid(asked.patient, asked.status, ins=options.get("pid_ins", True), billing_nir=billing),
        hl7.pv1(options.get("encounter", "I"), asked.patient),
    ]
    return [*lines, *_order(asked), *_documents(asked), *_metadata(asked)]


def _coded(document: CdaSample) -> str:
    kind = cda.KINDS[document.kind]
    return f"{kind.code}^{esc(kind.label)}^{'LN' if kind.system == _LOINC else 'TRE_A05'}"


def _order(asked: Asked) -> list[str]:
    if asked.dialect == "2.0" and asked.mdm:  # no ORC, no OBR (hl7-input §1.7)
        return []
    orc = segment("ORC", {1: asked.style.send_orc[asked.action]})
    return [orc, segment("OBR", {1: "1", 4: _coded(asked.documents[0])})]


def _documents(asked: Asked) -> list[str]:
    given = list(asked.options.get("payload", ()))
    payloads = given or [base64.b64encode(one.content).decode() for one in asked.documents]
    lines = [_txa(asked)] if asked.mdm else []
    for rank, (document, payload) in enumerate(zip(asked.documents, payloads, strict=True), 1):
        data = f"^{'text' if asked.mdm else 'TEXT'}^XML^Base64^{payload}"
        fields = {1: str(rank), 2: "ED", 3: _coded(document), 5: data, 11: STATUS[asked.action]}
        lines.append(segment("OBX", fields))
        if rank == 1:
            lines += _participations(asked)
    return lines


def _txa(asked: Asked) -> str:
    document = asked.documents[0]
    fields = {1: "1", 2: cda.KINDS[document.kind].code, 3: "TEXT", 12: _ei(document.uid, document.extension)}
    if document.replaces and asked.action != "initial":
        fields[13] = _ei(*document.replaces.split("^"))
    return segment("TXA", {**fields, 17: asked.style.txa17})


def _ei(root: str, extension: str = "") -> str:
    """TXA-12 and TXA-13 (hl7-input §1.4)."""
    return f"{esc(extension)}^^{root}^ISO" if extension else root


def _participations(asked: Asked) -> list[str]:
    style, options, document = asked.style, asked.options, asked.documents[0]
    reply = [hl7.prt_reply(style, options["reply_to"])] if options.get("reply_to") else []
    if asked.dialect == "1.2":  # its recipients stand in the CDA (hl7-input §1.7)
        return reply
    sender = options.get("sender", document.author)
    structure = options.get("structure", document.structure)
    sends = [hl7.prt_sender(style, sender, structure, options.get("device", ""))] if sender else []
    return [*sends, *(hl7.prt_recipient(style, one) for one in asked.recipients), *reply]


def _metadata(asked: Asked) -> list[str]:
    style, options = asked.style, asked.options
    masks = options.get("masks", ())
    others = any(one.patient is None for one in asked.recipients)
    values = {
        **{style.names.get(name, name): name in masks for name in _MASKS},
        style.names.get("MODIF_CONF_CODE", "MODIF_CONF_CODE"): options.get("modif_conf_code", False),
        "DESTDMP": asked.dmp,
        "DESTMSSANTEPS": options.get("mss_professionals", others),
        "DESTMSSANTEPAT": options.get("mss_patient", asked.patient_mail),
    }
    if style.acks:
        values |= {"ACK_RECEPTION": asked.ack_reception, "ACK_LECTURE_MSS": asked.ack_lecture}
    return hl7.metadata(
        style,
        rank=len(asked.documents) + 1,
        mdm=asked.mdm,
        values=values,
        bodies=_mail_bodies(options),
        fin=options.get("no_reply", False),
    )


def _mail_bodies(options: Mapping[str, object]) -> dict[str, str]:
    return {name: str(options[key]) for key, name in _BODIES if options.get(key)}
