"""IHE_XDM.ZIP (IHE ITI TF-2 §3.32; mssante §2): documents as received, METADATA.XML, INDEX.HTM, README.TXT."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from router.cda.narrative import Narrative, narrative
from router.cda.whole import Whole
from router.errors import MessageFault
from router.printable import printable_html
from router.rendering.html import POLICY, STYLE, page_body
from router.rendering.page import page_of
from router.request import DocumentHeader, TransmissionRequest
from router.sinks.mssante.bodies import CopyKind
from router.sinks.mssante.naming import ascii_text, birth_name, day, first_name
from router.sinks.mssante.zip_file import zip_file
from router.structures import StructureConfig

SHOWN: Final = 8 * 2**20
"""Bytes of a document that INDEX.HTM shows; of a larger one it gives the heading."""
_BESIDE: Final[dict[CopyKind, str]] = {
    "": "",
    "trop-grosse": "",
    "document": " ; le courriel porte aussi une copie PDF",
    "rendue": " ; le courriel porte aussi une copie PDF, mise en page a partir du texte du document",
}
FOLDER: Final = "IHE_XDM/SUBSET01"


def document_name(rank: int) -> str:
    """The 8.3 name of the document of this rank, from 1; also its `URI` in METADATA.XML."""
    return f"DOC{rank:05d}.XML"


def archive(
    metadata: bytes,
    wholes: Sequence[Whole],
    request: TransmissionRequest,
    structure: StructureConfig,
    software: tuple[str, str, str],
    *,
    kind: CopyKind = "",
) -> bytearray:
    """The whole archive, the same bytes for the same content.

    software: name, version, vendor;  kind: the PDF copy that the mail carries beside it
    """
    names = [document_name(rank) for rank in range(1, len(wholes) + 1)]
    members = [
        ("INDEX.HTM", index(request, structure, names, wholes)),
        ("README.TXT", readme(structure, software, tuple(names), kind=kind)),
        (f"{FOLDER}/METADATA.XML", metadata),
        *((f"{FOLDER}/{name}", document.raw) for name, document in zip(names, wholes, strict=True)),
    ]
    return zip_file(members)


def index(
    request: TransmissionRequest, structure: StructureConfig, names: Sequence[str], wholes: Sequence[Whole]
) -> bytes:
    """XHTML: the institution, the patient, links to each document and to README.TXT, and what the documents say.

    ASCII, CRLF. The style sheet and the pictures stand in the page, for the archive has no other place for them.
    """
    born = day(request.principal.patient.birth_date or request.patient.birth_date)
    patient = " ".join(part for part in (birth_name(request), first_name(request), born) if part)
    items = "\n".join(f'<li><a href="{FOLDER}/{name}">{name}</a></li>' for name in names)
    shown = "\n".join(_shown(request, header, whole) for header, whole in zip(request.documents, wholes, strict=True))
    institution = printable_html(structure.name)
    text = f"""<?xml version="1.0" encoding="us-ascii"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML Basic 1.1//EN" "http://www.w3.org/TR/xhtml-basic/xhtml-basic11.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="fr">
<head><title>{institution}</title>
<meta http-equiv="Content-Security-Policy" content="{POLICY}"/>
<style type="text/css">
{STYLE}</style></head>
<body>
<h1>{institution}</h1>
<p>Patient : {printable_html(patient)}</p>
<ul>
{items}
</ul>
<p><a href="README.TXT">README.TXT</a></p>
{shown}
</body>
</html>
"""
    return text.replace("\n", "\r\n").encode("ascii", "xmlcharrefreplace")


def _shown(request: TransmissionRequest, header: DocumentHeader, whole: Whole) -> str:
    """What a document says, as a part of INDEX.HTM. Its INS stays in the document."""
    try:
        words = narrative(whole) if header.size <= SHOWN and header.media_type != "application/pdf" else Narrative(())
        return page_body(page_of(request, header, words, ins=False))
    except (MessageFault, RecursionError):  # the document itself is there all the same
        return ""


@lru_cache(maxsize=64)
def readme(
    structure: StructureConfig, software: tuple[str, str, str], names: tuple[str, ...], *, kind: CopyKind
) -> bytes:
    """Who made it, with which software, how to open it, what it holds. ASCII, CRLF."""
    issuer = [structure.name, f"FINESS {structure.finess}" if structure.finess else "", structure.address]
    phone = f"Telephone : {structure.phone}" if structure.phone else ""
    mail = f"Courriel MSSante : {structure.mailbox}" if structure.mailbox else ""
    vendor = [f"  Editeur : {software[2]}"] if software[2] else []
    tree = [f"  {FOLDER}/METADATA.XML   metadonnees XDS", *(f"  {FOLDER}/{name}   document CDA R2" for name in names)]
    beside = _BESIDE[kind]
    lines = [
        "EMETTEUR",
        *(f"  {line}" for line in [*issuer, phone, mail] if line),
        "",
        "LOGICIEL",
        f"  {software[0]} {software[1]}",
        *vendor,
        "",
        "LECTURE",
        "  Archive IHE XDM : a integrer par un logiciel qui lit les documents CDA R2.",
        f"  A la main : ouvrir INDEX.HTM dans un navigateur{beside}.",
        "",
        "CONTENU",
        "  INDEX.HTM",
        "  README.TXT",
        *tree,
    ]
    return ("\r\n".join(_row(line) for line in lines) + "\r\n").encode("ascii")


def _row(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return indent + ascii_text(line)
