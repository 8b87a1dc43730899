"""The maker: from a seed, any number of distinct patients, documents and messages, always the same ones."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from typing import Final, Unpack

from router.simulators.sender import adt, bodies, cda
from router.simulators.sender.er7 import bend
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.options import Action, CdaSample, DocumentOptions, MessageOptions
from router.simulators.sender.parts import Asked, segments
from router.simulators.sender.pdf import pdf
from router.simulators.sender.people import (
    DOCTOR_DOMAIN,
    HOPITAL_A,
    HOSPITAL_DOMAIN,
    Patient,
    Population,
    Professional,
    Structure,
)

BASE: Final = dt.datetime(2025, 1, 6, 9, 0, tzinfo=dt.timezone(dt.timedelta(hours=1)))
"""Default origin of every date: in the past, since a document of the future is refused."""
_ROOT: Final = "1.2.250.1.213.1.4.99"
_ACTION: Final[dict[str, Action]] = {"T02": "initial", "T10": "replace", "T04": "delete"}
_EVENT: Final = {action: event for event, action in _ACTION.items()}
_CHARSETS: Final = {"UNICODE UTF-8": "utf-8", "8859/15": "iso-8859-15"}


class Maker:
    """Makes fictitious but realistic traffic; two makers of one seed make the same bytes.

    `structure` is the hospital that everything comes from unless told otherwise; `base` the moment from which
    every date is counted.
    """

    def __init__(self, seed: int, *, base: dt.datetime = BASE, structure: Structure = HOPITAL_A) -> None:
        self.seed = abs(seed)
        self.base = base
        self.structure = structure
        self._rng = random.Random(seed)
        self._people = Population(self._rng, base)
        self._documents = 0
        self._messages = 0
        self.doctor = self._people.professional()
        """The default recipient."""
        self.author = self._people.professional("biology", domain=HOSPITAL_DOMAIN)
        """The default author and sender."""

    # ------------------------------------------------------------------------------------------------ people

    def patient(
        self, *, ins: bool = True, age: int | None = None, family: str = "", given: str = "", sex: str = ""
    ) -> Patient:
        """A new patient of the maker's structure; `ins=False` for somebody of the AME."""
        return self._people.patient(ins=ins, age=age, structure=self.structure, family=family, given=given, sex=sex)

    def professional(self, specialty: str = "letter", *, domain: str = DOCTOR_DOMAIN) -> Professional:
        """A new doctor with a mailbox at `domain`; specialties: biology, imaging, letter."""
        return self._people.professional(specialty, domain=domain)

    def recipient(self, address: str = "", *, domain: str = DOCTOR_DOMAIN) -> Recipient:
        """A new professional recipient, at a mailbox of his own or at `address`."""
        doctor = self.professional(domain=domain)
        return Recipient(professional=doctor, address=address or doctor.address)

    # --------------------------------------------------------------------------------------------- documents

    def document(self, kind: str, patient: Patient, **options: Unpack[DocumentOptions]) -> CdaSample:
        """A new document of `biology` (N3), `biology-n1`, `imaging` or `letter` (N1)."""
        self._documents += 1
        sort, number = cda.KINDS[kind], self._documents
        replaced = options.get("replaces")
        uid = options.get("uid") or f"{_ROOT}.2.{self.seed}.{number}"
        family = self._family(options, replaced, number)
        version = options.get("version", replaced.version + 1 if replaced else 1)
        effective = options.get("effective", self.base + dt.timedelta(seconds=number))
        author = options.get("author", self.author)
        structure = options.get("structure", self.structure)
        with_ins = options.get("with_ins", True)
        header = cda.Header(
            kind=sort,
            uid=uid,
            extension=options.get("extension", ""),
            set_id=family,
            version=version,
            title=options.get("title") or sort.title,
            patient=patient,
            patient_ins=with_ins,
            extra_ids=options.get("extra_ids", ()),
            author=author,
            structure=structure,
            effective=effective,
            start=effective - dt.timedelta(hours=2),
            stop=effective - dt.timedelta(hours=1),
            confidentiality=options.get("confidentiality", "N"),
            replaces=(replaced.uid, replaced.extension) if replaced else None,
            order=options.get("order") or f"{self.seed % 10**6:06d}{number:08d}",
            recipients=options.get("recipients", ()),
        )
        return CdaSample(
            self._render(header, options),
            uid,
            "^".join(filter(None, family)) if family else "",
            version,
            kind,
            header.extension,
            replaced.id if replaced else "",
            patient,
            author,
            structure,
            family,
        )

    def _family(self, options: DocumentOptions, replaced: CdaSample | None, number: int) -> tuple[str, str] | None:
        if "set_id" in options:
            return options["set_id"]
        return replaced.family if replaced else (f"{_ROOT}.3.{self.seed}.{number}", "")

    def _render(self, header: cda.Header, options: DocumentOptions) -> bytes:
        encoding, prolog = options.get("encoding", "UTF-8"), options.get("prolog", "")
        draw = random.Random(f"{self.seed}:{header.uid}")
        state = draw.getstate()

        def whole(size: int) -> bytes:
            draw.setstate(state)
            copy = pdf(header.title, _lines(header), size=size, rng=draw)
            if header.kind.level == 1:
                body = bodies.non_xml(copy, options.get("media_type", "application/pdf"))
            else:
                body = bodies.biology(copy if options.get("with_pdf", True) else None, draw, encoding)
            return cda.document(header, body, encoding=encoding, prolog=prolog)

        smallest, wanted = whole(0), options.get("size", 0)
        if wanted <= len(smallest):
            return smallest
        bare = len(pdf(header.title, _lines(header)))
        return whole(bare + (wanted - len(smallest)) * 3 // 4)

    def replacement(self, sample: CdaSample, **options: Unpack[DocumentOptions]) -> CdaSample:
        """The next version: new id, same setId, versionNumber + 1, RPLC towards `sample`."""
        if sample.patient is None:
            raise ValueError("a sample without its patient can't be replaced")
        options.setdefault("replaces", sample)
        return self.document(sample.kind, sample.patient, **options)

    # ---------------------------------------------------------------------------------------------- messages

    def control_id(self) -> str:
        """A new MSH-10."""
        self._messages += 1
        return f"S{self.seed}-{self._messages:06d}"

    def message(
        self,
        document: CdaSample | Sequence[CdaSample],
        *,
        event: str = "R01",
        action: Action | None = None,
        dialect: str = "2.1",
        patient: Patient | None = None,
        dmp: bool = True,
        recipients: Sequence[Recipient | str] | None = None,
        patient_mail: bool = False,
        ack_reception: bool = True,
        ack_lecture: bool = False,
        control_id: str | None = None,
        pid32: Sequence[str] | None = None,
        **options: Unpack[MessageOptions],
    ) -> bytes:
        """A message that carries one document, or an N1 and N3 pair.

        event: `R01` (ORU), `T02`, `T10`, `T04` (MDM), or `MDM` for the trigger that fits `action`.
        action: told by the trigger; for `R01` and `MDM` a replacement when the document replaces one, else initial.
        patient: whose PID; the document's own unless told (a document under the wrong patient).
        recipients: one doctor when None, none when empty; addresses alone make a professional of no name.
        pid32: VALI with an INS, else PROV.
        """
        documents = [document] if isinstance(document, CdaSample) else list(document)
        person = patient or documents[0].patient
        if person is None:
            raise ValueError("no patient")
        action = action or _ACTION.get(event) or ("replace" if documents[0].replaces else "initial")
        asked = Asked(
            event=_EVENT[action] if event == "MDM" else event,
            action=action,
            dialect=dialect,
            documents=documents,
            patient=person,
            recipients=self._recipients(recipients, person if patient_mail else None),
            dmp=dmp,
            patient_mail=patient_mail,
            ack_reception=ack_reception,
            ack_lecture=ack_lecture,
            control_id=control_id or self.control_id(),
            status=_status(person, pid32),
            when=options.get("when", self.base + dt.timedelta(hours=1, seconds=self._messages)),
            facility=self.structure.ipp_namespace,
            options=options,
        )
        lines = bend(segments(asked), options.get("fields", {}), options.get("drop", ()), options.get("extra", ()))
        end = options.get("line_end", "\r")
        codec = _CHARSETS.get(options.get("charset", "UNICODE UTF-8"), "utf-8")
        return (end.join(lines) + end).encode(codec, "replace")

    def adt(
        self,
        event: str,
        patient: Patient,
        *,
        control_id: str | None = None,
        pid32: Sequence[str] | None = None,
        ins: bool = True,
        opposition: str = "INO",
        consent: str = "IC",
        dmp: str = "ACTIF",
        merged: Patient | None = None,
        when: dt.datetime | None = None,
        processing: str = "P",
    ) -> bytes:
        """An ADT of PAM-FR; arguments as in `router.simulators.sender.adt.adt`."""
        lines = adt.adt(
            event,
            patient,
            when=when or self.base + dt.timedelta(seconds=self._messages),
            control_id=control_id or self.control_id(),
            sending=("GAM", self.structure.ipp_namespace),
            receiving=("PFI", "PFI"),
            pid32=_status(patient, pid32),
            ins=ins,
            opposition=opposition,
            consent=consent,
            dmp=dmp,
            merged=merged,
            processing=processing,
        )
        return ("\r".join(lines) + "\r").encode()

    def _recipients(self, given: Sequence[Recipient | str] | None, patient: Patient | None) -> list[Recipient]:
        if given is None:
            chosen = [Recipient(professional=self.doctor, address=self.doctor.address)]
        else:
            chosen = [Recipient(address=one) if isinstance(one, str) else one for one in given]
        if patient is not None:
            chosen.append(Recipient(patient=patient, address=patient.address))
        return chosen


def _status(patient: Patient, given: Sequence[str] | None) -> Sequence[str]:
    return given if given is not None else (("VALI",) if patient.ins else ("PROV",))


def _lines(header: cda.Header) -> list[str]:
    p = header.patient
    born = f"{p.birth_date[6:]}/{p.birth_date[4:6]}/{p.birth_date[:4]}"
    return [
        f"Patient : {p.birth_family} {p.given}, né(e) le {born}",
        f"Auteur : Dr {header.author.given} {header.author.family}, {header.structure.name}",
        f"Date : {header.start:%d/%m/%Y}    Version : {header.version}",
    ]
