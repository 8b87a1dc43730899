"""What the DMP says in its own words (`codeContext`), without anything that may be a person's (dmp §1.5, §5.2).

The free text is often the only useful part of a refusal, and it may quote the patient. So a word stays only when it is
ordinary French in lower case, a name of the standards, or a code; the names and numbers of the request never stay.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from router.request import TransmissionRequest

SAID: Final = " — le DMP dit : "
"""Between our sentence and the DMP's words, in the text of a fault (`verdicts.Verdicts.fault`)."""
LONGEST: Final = 200
"""Characters that are kept: ERR-8 has 250 (HL7 v2.6 §2.14.5.8)."""
HIDDEN: Final = "…"
_EDGES: Final = " \t\r\n.,;:!?()[]{}<>\"'«»’=|"
_ORDINARY: Final = re.compile(r"[a-zà-öø-ÿœæ]+(?:['’-][a-zà-öø-ÿœæ]+)*")
_STANDARD: Final = re.compile(
    r"XDS[A-Za-z]+|[a-z]+(?:[A-Z][a-z]+)+|(?:JDV|TRE|ASS)_[A-Za-z0-9-]+|"  # error, attribute, value set
    r"\d{4,5}-\d|[0-2](?:\.\d+){3,}|urn:(?:ihe|asip|ans|oid|uuid|oasis)[:A-Za-z0-9.-]*"  # LOINC, OID, format
)
_FIRST: Final = frozenset(
    [
        "aucun",
        "aucune",
        "attribut",
        "champ",
        "ce",
        "cette",
        "code",
        "document",
        "documents",
        "erreur",
        "format",
        "identifiant",
        "il",
        "invalid",
        "l",
        "la",
        "le",
        "les",
        "lot",
        "metadata",
        "metadonnee",
        "missing",
        "patient",
        "structure",
        "type",
        "un",
        "une",
        "unknown",
        "valeur",
        "version",
    ]
)
"""Words that may have a capital, because a sentence begins with them."""
_ACRONYMS: Final = frozenset(
    ["CDA", "DMP", "HL7", "ID", "IHE", "INS", "LOINC", "NIA", "NIR", "OID", "PDF", "UUID", "VIHF", "XDS", "XML"]
)


def without_values(text: str, request: TransmissionRequest) -> str:
    """The text with `…` for every word that may be somebody's; '' when nothing else is left."""
    people = [request.patient, request.sender, *request.recipients]
    for header in request.documents:
        people += [header.patient, *header.authors, header.legal_authenticator]
    held = {word for one in people for value in _texts(one) for word in re.split(r"[^a-z0-9]+", _plain(value))}
    kept: list[str] = []
    for word in text.split():
        shown = word if _harmless(word.strip(_EDGES), held) else HIDDEN
        if not (shown == HIDDEN and kept and kept[-1] == HIDDEN):
            kept.append(shown)
    if all(word.strip(_EDGES) in ("", HIDDEN) for word in kept):
        return ""
    line = " ".join(kept)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}{HIDDEN}"


def _harmless(word: str, held: set[str]) -> bool:
    if not word or _STANDARD.fullmatch(word) or word in _ACRONYMS:
        return True
    parts = [part for part in re.split(r"[^a-z0-9]+", _plain(word)) if part]
    if any(part in held and len(part) > 1 for part in parts):
        return False
    return bool(_ORDINARY.fullmatch(word)) or (word[1:].islower() and bool(parts) and parts[-1] in _FIRST)


def _texts(value: Any) -> Iterator[str]:
    """Every text of a model, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _texts(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _texts(inner)


def _plain(text: str) -> str:
    """Lower case without accents."""
    flat = unicodedata.normalize("NFKD", text)
    return "".join(one for one in flat if not unicodedata.combining(one)).lower()
