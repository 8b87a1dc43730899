"""Rules R49, R65, R80–R88, R95, R97, R98: who sends, and to whom a mail may leave (decisions D2, D5, D6, D9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from router.cda.document import Document
from router.cisis import participants
from router.cisis.addresses import clean, parts
from router.cisis.age import adult_at
from router.cisis.findings import Findings
from router.cisis.identity import Identity
from router.cisis.participants import RECIPIENT, SENDER
from router.cisis.reading import Reading
from router.cisis.rule import Severity
from router.cisis.rules import TABLE
from router.cisis.settings import ProfileRules
from router.hl7.segment import Segment
from router.request import Author, DocumentHeader, Masks, Professional, Recipient, RecipientKind, Structure

#: SMTPERRORCODE of a recipient we refuse ourselves: bad address, mailbox not to be written to.
BAD_ADDRESS, NOT_ALLOWED = "510", "550"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipient as the sender named him, and what is wrong with how he did it."""

    recipient: Recipient
    malformed: bool = False
    contradictory: bool = False
    shifted: bool = False
    to_build: bool = False
    """The sender wants the patient's mailbox made of his INS."""
    header: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the sender asked for by mail, and what forbids the patient's."""

    professionals: bool
    patient: bool
    masks: Masks


# ------------------------------------------------------------------------------------------------ who is named


def of_message(reading: Reading, documents: Sequence[Document], rules: ProfileRules) -> list[Candidate]:
    """The RCT of a message; for a sender of 1.2 who has none, the mailboxes inside his CDA."""
    named = [_of_part(part, rules) for part in reading.parts(RECIPIENT)]
    if named or not reading.table.recipients_in_cda:
        return named
    return [one for document in documents for one in of_document(document, rules)]


def bounded(named: Sequence[Candidate], rules: ProfileRules, findings: Findings) -> bool:
    """R98: every recipient is a delivery of its own, with its own copy of the document."""
    if len(named) <= rules.most_recipients:
        return True
    findings.add("R98", n=named[rules.most_recipients].recipient.rank, limit=rules.most_recipients)
    return False


def _of_part(part: Segment, rules: ProfileRules) -> Candidate:
    found = participants.recipient(part, rules.patient_domains)
    several = part.repeats(15) or bool(part.text("15.4.2"))
    return Candidate(
        found,
        malformed=bool(found.address_received) and (several or not found.address),
        contradictory=participants.contradictory(part, found.address, rules.patient_domains),
        shifted=participants.shifted(part),
    )


def of_document(document: Document, rules: ProfileRules) -> list[Candidate]:
    """The mailboxes of `informationRecipient`: only 1.2 names its recipients there (hl7-input §1.7)."""
    return [
        of_address(one.address, rank, rules, person=Professional(id=one.id, family=one.family, given=one.given))
        for rank, one in enumerate(document.intended, 1)
    ]


def of_address(
    received: str, rank: int, rules: ProfileRules, *, person: Professional | None = None, header: str = ""
) -> Candidate:
    """A recipient of whom the address says all."""
    address = clean(received) or ""
    if participants.in_domains(address, rules.patient_domains):
        kind, person = RecipientKind.PATIENT, None
    else:
        kind = RecipientKind.PROFESSIONAL if person and person.id else RecipientKind.ADDRESS
    recipient = Recipient(
        rank=rank,
        kind=kind,
        address=address,
        address_received=received,
        id=person.id if person else "",
        person=person,
    )
    return Candidate(recipient, malformed=not address, header=header)


# ----------------------------------------------------------------------------------------- who may be written to


def admit(
    candidates: Iterable[Candidate],
    wanted: Wanted,
    identity: Identity,
    documents: Sequence[DocumentHeader],
    *,
    rules: ProfileRules,
    findings: Findings,
) -> tuple[Recipient, ...]:
    """R49, R81 to R84, R86, R88, R95, R97: the recipients that were asked for, the forbidden ones marked so."""
    kept: list[Recipient] = []
    for one in candidates:
        patient = one.recipient.kind is RecipientKind.PATIENT
        if not (wanted.patient if patient else wanted.professionals):
            # Whoever contradicts himself has no kind that could be "not asked for" (R95).
            findings.add("R95" if one.contradictory else "R83", n=one.recipient.rank)
            continue
        named = one.recipient
        if not _sound(one, findings):
            continue
        if patient and not named.address and (one.to_build or rules.build_patient_address):
            named = _built(named.rank, identity, rules)
        if patient and (named.address or one.to_build):
            named = _patient(named, wanted, identity, documents, rules=rules, findings=findings)
        kept.append(named)
    kept = _once(kept, findings)
    professionals = [one for one in kept if one.kind is not RecipientKind.PATIENT]
    patients = [one for one in kept if one.kind is RecipientKind.PATIENT and (one.address or one.refusal)]
    if wanted.professionals:
        _check_professionals(professionals, rules, findings)
    if wanted.patient and not patients and not findings.broke("R84", "R95"):
        built = _built(0, identity, rules)
        if rules.build_patient_address and built.address:
            patients.append(_patient(built, wanted, identity, documents, rules=rules, findings=findings))
        else:
            mute = next((one.rank for one in kept if one.kind is RecipientKind.PATIENT), 0)
            findings.add("R82", "address" if mute else "", n=mute)
    return (*professionals, *patients)


def _sound(one: Candidate, findings: Findings) -> bool:
    """Whether the address is one clean one whose owner is not in doubt, or is simply absent (R81, R82)."""
    n = one.recipient.rank
    if one.shifted:
        findings.add("R81", "shifted", n=n)
    elif one.malformed:
        findings.add("R84", n=n, what=one.header)
    elif one.contradictory:
        findings.add("R95", n=n)
    else:
        return True
    return False


def _check_professionals(named: Sequence[Recipient], rules: ProfileRules, findings: Findings) -> None:
    if not named and not findings.broke("R81", "R84", "R95"):
        findings.add("R81")
    for one in named:
        looked_up = rules.resolution_annuaire == "si-absente" and participants.resolvable(one)
        if not one.address and not looked_up:
            findings.add("R81", "address", n=one.rank)


def _patient(
    recipient: Recipient,
    wanted: Wanted,
    identity: Identity,
    documents: Sequence[DocumentHeader],
    *,
    rules: ProfileRules,
    findings: Findings,
) -> Recipient:
    """A patient's mailbox: his own, under a qualified INS, and not readable by those the document is hidden from."""
    n = recipient.rank or 1
    if identity.ins is None:
        findings.add("R49", n=n)
        return _refused(recipient.model_copy(update={"id": ""}), BAD_ADDRESS, "R49")
    local, domain = parts(recipient.address)
    if local.upper() != identity.ins.value.upper():
        findings.add("R86", n=n, severity=Severity.ERROR if rules.r86 == "refuse" else Severity.WARN)
        return _refused(recipient, BAD_ADDRESS, "R86")
    hidden = wanted.masks.invisible_rep_legaux or wanted.masks.connexion_secrete
    if hidden and not _adult(identity, documents, findings.today):
        findings.add("R88", n=n)
        if not findings.deletion:
            return _refused(recipient, NOT_ALLOWED, "R88")
    return recipient.model_copy(update={"address": f"{identity.ins.value}@{domain}"})


def _adult(identity: Identity, documents: Sequence[DocumentHeader], today: date) -> bool:
    """Of age at the date of the act, for every document (D6). R42 has compared the birth dates of the documents."""
    acts = [header.start_time or header.effective_time for header in documents]
    return adult_at([identity.received.birth_date], acts, today)


def _refused(recipient: Recipient, code: str, rule: str) -> Recipient:
    return recipient.model_copy(update={"refusal": (code, TABLE[rule].case("").sentence)})


def _built(rank: int, identity: Identity, rules: ProfileRules) -> Recipient:
    """`<INS>@patient.mssante.fr` (R82); without a qualified INS there is no address."""
    address = f"{identity.ins.value}@{rules.patient_domains[0]}" if identity.ins is not None else ""
    return Recipient(rank=rank, kind=RecipientKind.PATIENT, address=address, address_received=address)


def _once(named: Iterable[Recipient], findings: Findings) -> list[Recipient]:
    """R97: one mail per address, for the first who bears it."""
    seen: set[str] = set()
    kept = []
    for one in named:
        address = one.address.lower()
        if address and address in seen:
            findings.add("R97", n=one.rank)
            continue
        seen.add(address)
        kept.append(one)
    return kept


# ------------------------------------------------------------------------------------------------- who sends


def sender_of(
    reading: Reading, documents: Sequence[Document], rules: ProfileRules, findings: Findings, *, dmp: bool
) -> tuple[Author | None, str]:
    """R80 and R65: the PRT SB (for a sender of 1.2 who has none, whoever signed the CDA), and for whom he speaks.

    The second is the FINESS of one of the site's structures, "" when there is none.
    """
    facility = reading.head.text("4")
    named = reading.parts(SENDER)
    if not named:
        found = None if reading.table.sender_in_prt else signer_of(documents)
        if dmp and found is None and SENDER not in reading.misplaced_kinds:
            findings.add("R80")
        return found, participants.speaks_for(found, rules, findings, facility=facility, said=False, dmp=dmp)
    part = named[0]
    author = participants.author(part)
    if dmp:
        if len(named) > 1:
            findings.add("R80", "several", n=named[1].index)
        if author.person is None and author.device is None:
            findings.add("R80", "who", n=part.index)
        if author.structure is None or not author.structure.id:
            findings.add("R80", "structure", n=part.index)
    own = participants.speaks_for(author, rules, findings, facility=facility, said=True, dmp=dmp, n=part.index)
    return author, own


def signer_of(documents: Sequence[Document]) -> Author | None:
    """The legal authenticator (else the author), with his structure, else the custodian."""
    if not documents:
        return None
    header = documents[0].header
    signer = header.legal_authenticator or next((one for one in header.authors if one.person), None)
    structures: list[Structure | None] = [
        signer.structure if signer else None,
        *(one.structure for one in header.authors),
        header.custodian,
    ]
    structure = next((one for one in structures if one is not None and one.finess), None)
    if signer is None and structure is None:
        return None
    return Author(person=signer.person if signer else None, structure=structure)


def reply_to(part: Segment, findings: Findings) -> str:
    """The address of a PRT REPLY; one that is none is left out, with a warning."""
    received = part.text("15.4")
    return clean_reply(received, bool(received), findings, n=part.index)


def clean_reply(received: str, given: bool, findings: Findings, *, n: int = 1) -> str:
    """R84 as a warning: a wrong Reply-To harms nobody, and stops nothing."""
    address = clean(received) or ""
    if given and not address:
        findings.add("R84", "reply", n=n)
    return address
