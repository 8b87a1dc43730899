"""Does a mail of documents keep to the rules? Read with stdlib `email` and `zipfile`, and lxml (mssante §1, §2)."""

from __future__ import annotations

import email
import email.policy
import hashlib
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Final

from lxml import etree

from router.simulators.mssante.reports import header_block

_RIM: Final = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
_LCM: Final = "{urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0}"
_V3: Final = "{urn:hl7-org:v3}"
_PATIENTS: Final = "patient.mssante.fr"
_SET_PATIENT: Final = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446"
_SET_UNIQUE: Final = "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8"
_DOC_PATIENT: Final = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"
_DOC_UNIQUE: Final = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
_SUBJECT: Final = re.compile(r"XDM/1\.0/DDM\+(?P<label>.{1,40}?) (?P<name>[^\W\d_][^\d_a-z]*) \S.*?( \d\d/\d\d/\d{4})?")
_ACCENT: Final = re.compile(r"[A-Za-z][\u0300-\u036f]")
_ATEXT_WORD: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PHRASE: Final = rf'(?:"(?:[^"\\\r\n]|\\[ -~])*"|{_ATEXT_WORD}(?:\s+{_ATEXT_WORD})*)'
_FROM: Final = re.compile(rf"(?:{_PHRASE}\s*<(?P<in>[^<>@\s,;]+@[^<>@\s,;]+)>|(?P<bare>[^<>@\s,;\"]+@[^<>@\s,;\"]+))")
"""RFC 5322 §3.4: one mailbox, its phrase one quoted string or words of atext; no comma, no second address."""
_INS_ROOTS: Final = frozenset(f"1.2.250.1.213.1.4.{last}" for last in (8, 9, 10, 11))
_SLOTS: Final = ("creationTime", "hash", "languageCode", "legalAuthenticator", "size", "sourcePatientId", "URI")
_METADATA: Final = re.compile(r"IHE_XDM/[A-Z0-9_]{1,8}/METADATA\.XML")
_DOS_NAME: Final = re.compile(r"[A-Z0-9_]{1,8}\.[A-Z0-9_]{1,3}")


_NAMED: Final = re.compile(r"\b[0-2](?:\.\d+){6,}\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule a mail breaks: where, and what."""

    place: str
    text: str


@dataclass(slots=True)
class Inspection:
    """What was found in a mail."""

    message_id: str = ""
    findings: list[Finding] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    """Documents that a mail without archive speaks of: the id that stands in its text, then others (mssante §1.2)."""
    set_id: str = ""
    action: str = ""
    patient: str = field(default="", repr=False)
    cda_ins: bool = False
    """A document holds an INS."""
    cda_complete: bool = True
    """Every document holds an INS with all that goes with it."""

    def add(self, place: str, text: str) -> None:
        self.findings.append(Finding(place, text))


def inspect(raw: bytes, sender: str, recipient: str) -> Inspection:
    """Read a mail. A report or a mail without archive is only noted; a broken archive never raises."""
    out = Inspection()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    out.message_id = str(message.get("Message-ID", "")).strip()
    if message.get_content_type() == "multipart/report":
        return out
    archives = [part for part in message.iter_attachments() if _is_archive(part)]
    _headers(out, message, raw, sender, recipient, bool(archives))
    if len(archives) > 1:
        out.add("parties", "plus d'une archive")
    if not archives:
        out.named = _NAMED.findall(_text(message))
    if archives:
        payload = archives[0].get_payload(decode=True)
        pdfs = [part for part in message.iter_attachments() if part.get_content_type() == "application/pdf"]
        codes = _archive(out, payload if isinstance(payload, bytes) else b"", message)
        _pdfs(out, pdfs, codes)
        local, _, domain = recipient.lower().partition("@")
        if domain == _PATIENTS and not any(f"&{oid}&" in out.patient for oid in _INS_ROOTS):
            out.add("X-MSS-INS", "INS non qualifiée vers une messagerie de patient")
        if domain == _PATIENTS and local != out.patient[:15].lower():
            out.add("To", "messagerie d'un autre patient que celui du document")
    return out


def _text(message: EmailMessage) -> str:
    body = message.get_body(preferencelist=("plain",))
    content = body.get_payload(decode=True) if body is not None else None
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""


def broken_sender(raw: bytes, sender: str) -> str:
    """Why an operator refuses a mail at its final dot: its `From` is no single mailbox, or not the envelope's."""
    message = email.message_from_bytes(header_block(raw) + b"\r\n", policy=email.policy.compat32)
    found = message.get_all("From") or [""]
    if not any("@" in str(one) for one in found):
        return ""  # absent or without an address: told by `inspect` alone
    matched = _FROM.fullmatch(re.sub(r"\r?\n(?=[ \t])", "", str(found[0])).strip()) if len(found) == 1 else None
    if matched is None:
        return "From is not exactly one mailbox"
    address = matched["in"] or matched["bare"]
    return "" if not sender or address.lower() == sender.lower() else "From is not the envelope sender"


def _is_archive(part: EmailMessage) -> bool:
    return (part.get_filename() or "").upper() == "IHE_XDM.ZIP"


def _headers(out: Inspection, message: EmailMessage, raw: bytes, sender: str, recipient: str, documents: bool) -> None:
    for name in ("From", "To", "Date", "Message-ID", "Subject", "MIME-Version"):
        if message.get_all(name) is None:
            out.add(name, "absent")
        elif len(message.get_all(name) or ()) > 1:
            out.add(name, "répété")
    if not re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", out.message_id):
        out.add("Message-ID", "mal formé")
    _addresses(out, message, sender, recipient)
    notification = str(message.get("Disposition-Notification-To", ""))
    if notification and sender.lower() not in notification.lower():
        out.add("Disposition-Notification-To", "différent de l'expéditeur")
    if not str(message.get("X-MSS-NIL", "")).strip():
        out.add("X-MSS-NIL", "absent")
    patient = recipient.lower().endswith(f"@{_PATIENTS}")
    final = message.get("X-MSS-MES")
    if final is not None and (final != "FIN" or not patient or message.get("Reply-To")):
        out.add("X-MSS-MES", "FIN, aux patients seuls et sans Reply-To")
    if documents:
        _document_headers(out, message, raw)
    body = message.get_body(preferencelist=("plain",))
    if body is None:
        out.add("corps", "texte absent")
    elif (body.get_content_charset() or "").lower() not in {"utf-8", "us-ascii"}:
        out.add("corps", "UTF-8 attendu")


def _addresses(out: Inspection, message: EmailMessage, sender: str, recipient: str) -> None:
    for name, wanted in (("From", sender), ("To", recipient)):
        header = message.get(name)
        found = [one.addr_spec.lower() for one in header.addresses] if header is not None else []
        if found != [wanted.lower()]:
            out.add(name, "une seule adresse, celle de l'enveloppe")
    for name in ("Cc", "Bcc", "Sender"):
        if message.get(name) is not None:
            out.add(name, "inattendu")


def _document_headers(out: Inspection, message: EmailMessage, raw: bytes) -> None:
    if message.get("X-MSS-INS") not in {"O", "N"}:
        out.add("X-MSS-INS", "O ou N attendu")
    if not str(message.get("X-MSS-CODECDA", "")).strip():
        out.add("X-MSS-CODECDA", "absent")
    head = header_block(raw)
    if not re.search(rb"(?mi)^Subject: XDM/1\.0/DDM\+", head):
        out.add("Subject", "doit commencer littéralement par XDM/1.0/DDM+")
    subject = str(message.get("Subject", ""))
    if not _SUBJECT.fullmatch(subject) or _ACCENT.search(unicodedata.normalize("NFD", subject.split(" ", 1)[0])):
        out.add("Subject", "libellé, NOM, prénom attendus, sans accent")


# ------------------------------------------------------------------------------------------------- archive


def _archive(out: Inspection, data: bytes, message: EmailMessage) -> list[str]:
    """Check the archive; the CDA codes of its documents, in order."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        out.add("IHE_XDM.ZIP", "archive illisible")
        return []
    for name in names:
        if name.startswith("/") or ".." in name.split("/") or "\\" in name:
            out.add("IHE_XDM.ZIP", "chemin interdit")
            return []
    for wanted in ("INDEX.HTM", "README.TXT"):
        if wanted not in names:
            out.add("IHE_XDM.ZIP", f"{wanted} absent")
    metadata = [name for name in names if _METADATA.fullmatch(name)]
    if len(metadata) != 1:
        out.add("IHE_XDM.ZIP", "un METADATA.XML attendu")
        return []
    try:
        root = _xml(archive.read(metadata[0]))
    except (etree.XMLSyntaxError, zipfile.BadZipFile):
        out.add("METADATA.XML", "illisible")
        return []
    folder = metadata[0].removesuffix("METADATA.XML")
    known = {"INDEX.HTM", "README.TXT", metadata[0]}
    codes = [code for code in _entries(out, root, archive, folder, known) if code]
    for name in set(names) - known:
        if not name.endswith("/"):
            out.add("IHE_XDM.ZIP", "fichier sans métadonnées")
    told = [code.strip() for code in str(message.get("X-MSS-CODECDA", "")).split(",")]
    if list(dict.fromkeys(codes)) != list(dict.fromkeys(told)):
        out.add("X-MSS-CODECDA", "différent du code des documents")
    _identity(out, message, root)
    return codes


def _entries(out: Inspection, root: Any, archive: zipfile.ZipFile, folder: str, known: set[str]) -> Iterator[str]:
    if root.tag != f"{_LCM}SubmitObjectsRequest":
        out.add("METADATA.XML", "lcm:SubmitObjectsRequest attendu")
    package = root.find(f".//{_RIM}RegistryPackage")
    out.set_id = _external(package, _SET_UNIQUE) if package is not None else ""
    out.patient = _external(package, _SET_PATIENT) if package is not None else ""
    if not out.set_id or not out.patient:
        out.add("METADATA.XML", "lot de soumission sans uniqueId ou patientId")
    out.action = _action(package) if package is not None else ""
    entries = root.findall(f".//{_RIM}ExtrinsicObject")
    if not entries:
        out.add("METADATA.XML", "aucun document")
    for entry in entries:
        slots = {slot.get("name", ""): _value(slot) for slot in entry.findall(f"{_RIM}Slot")}
        for name in _SLOTS:
            if not slots.get(name):
                out.add("METADATA.XML", f"slot absent : {name}")
        out.action = out.action or _action(entry)
        out.documents.append(_external(entry, _DOC_UNIQUE))
        if _external(entry, _DOC_PATIENT) != out.patient:
            out.add("METADATA.XML", "patientId du document différent de celui du lot")
        name = folder + slots.get("URI", "")
        known.add(name)
        if not _DOS_NAME.fullmatch(slots.get("URI", "")):
            out.add("METADATA.XML", "URI : nom 8.3 en capitales attendu")
        yield _document(out, archive, name, slots)


def _document(out: Inspection, archive: zipfile.ZipFile, name: str, slots: dict[str, str]) -> str:
    try:
        data = archive.read(name)
    except (KeyError, zipfile.BadZipFile):
        out.add("METADATA.XML", "URI sans fichier")
        return ""
    if hashlib.sha1(data, usedforsecurity=False).hexdigest() != slots.get("hash", "").lower():
        out.add("METADATA.XML", "hash différent de l'empreinte du document")
    if slots.get("size") != str(len(data)):
        out.add("METADATA.XML", "size différente de la taille du document")
    try:
        root = _xml(data)
    except etree.XMLSyntaxError:
        out.add("CDA", "document illisible")
        return ""
    own = root.findall(f"{_V3}recordTarget/{_V3}patientRole/{_V3}id")
    out.cda_ins = out.cda_ins or any(one.get("root") in _INS_ROOTS for one in own)
    out.cda_complete = out.cda_complete and _complete(root, out.patient)
    identifier, code = root.find(f"{_V3}id"), root.find(f"{_V3}code")
    parts = (identifier.get("root", ""), identifier.get("extension", "")) if identifier is not None else ("", "")
    if "^".join(filter(None, parts)) != out.documents[-1]:
        out.add("METADATA.XML", "uniqueId différent de ClinicalDocument/id")
    return code.get("code", "") if code is not None else ""


def _identity(out: Inspection, message: EmailMessage, root: Any) -> None:
    """X-MSS-INS says what the documents hold; an INS that is not qualified is nowhere (decisions D2, D13)."""
    text = etree.tostring(root, encoding="unicode")
    holds = any(f"&amp;{oid}&amp;" in text for oid in _INS_ROOTS)
    if (message.get("X-MSS-INS") == "O") != (holds and out.cda_complete):
        out.add("X-MSS-INS", "ne dit pas ce que contiennent les documents")
    if out.cda_ins and not holds:
        out.add("CDA", "INS dans le document alors que l'identité n'est pas qualifiée")


def _complete(root: Any, patient: str) -> bool:
    """Whether a CDA holds the INS of the set (a CX) with its OID and the six traits that go with it (annexe INS)."""
    role = root.find(f"{_V3}recordTarget/{_V3}patientRole")
    person = role.find(f"{_V3}patient") if role is not None else None
    written = (
        [f"{one.get('extension')}^^^&{one.get('root')}&" for one in role.findall(f"{_V3}id")]
        if role is not None
        else []
    )
    if person is None or not any(patient.startswith(one) for one in written):
        return False
    families = person.findall(f"{_V3}name/{_V3}family")
    givens = person.findall(f"{_V3}name/{_V3}given")
    born, sex = person.find(f"{_V3}birthTime"), person.find(f"{_V3}administrativeGenderCode")
    return all(
        (
            any(one.get("qualifier") in ("BR", None) and one.text for one in families),
            any(one.get("qualifier") is None and one.text for one in givens),
            born is not None and len(born.get("value", "")) >= 8,
            sex is not None and sex.get("code"),
            (person.findtext(f"{_V3}birthplace/{_V3}place/{_V3}addr/{_V3}county") or "").strip(),
        )
    )


def _pdfs(out: Inspection, parts: list[EmailMessage], codes: list[str]) -> None:
    if not parts and codes:
        out.add("parties", "copie PDF absente")
    if len(parts) > 1:
        out.add("parties", "plus d'une copie PDF : un N1 et un N3 sont un seul compte rendu")
    for part in parts:
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes) or b"%PDF-" not in payload[:1024]:
            out.add("PDF", "ce n'est pas un PDF")
        if not re.fullmatch(r"\d{8}_[^/\\:*?\"<>|]+\.pdf", part.get_filename() or ""):
            out.add("PDF", "nom : <date>_<type>_<NOM>_<prénom>…pdf")


def _action(element: Any) -> str:
    """C, D or "": any slot called `action`, or ending with `:action` (mssante §2.4)."""
    for slot in element.findall(f"{_RIM}Slot"):
        name = slot.get("name", "").lower()
        if name == "action" or name.endswith(":action"):
            return _value(slot).upper()
    return ""


def _external(element: Any, scheme: str) -> str:
    for one in element.findall(f"{_RIM}ExternalIdentifier"):
        if one.get("identificationScheme") == scheme:
            return str(one.get("value", ""))
    return ""


def _value(slot: Any) -> str:
    return (slot.findtext(f"{_RIM}ValueList/{_RIM}Value") or "").strip()


def _xml(data: bytes) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    return etree.fromstring(data, parser)
