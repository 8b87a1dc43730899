"""R36: validation against the XSD of the CDA, when the site provides it (hl7-input §6.4).

The schema is not ours to ship: the site names `CDA_extended.xsd` of the ANS, or the folder that holds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from lxml import etree

from router.cda import xml
from router.cda.document import Document
from router.cda.presented import document_in
from router.errors import Invalid, OperatorFault
from router.language import N_, filled

Mode = Literal["off", "warn", "error"]

_NAMES: Final = ("CDA_extended.xsd", "infrastructure/cda/CDA_extended.xsd", "CDA.xsd")
_MOST: Final = 20


class SchemaGate:
    """Checks documents against one schema, read once. Any thread, one at a time."""

    def __init__(self, path: Path, mode: Mode = "error") -> None:
        """`path`: the schema's file, or its folder. Raises `OperatorFault` CDA-SCHEMA when it can't be used."""
        self.mode = mode
        self._schema = _load(_schema_file(path)) if mode != "off" else None

    def check(self, document: Document | bytes) -> list[str]:
        """What is not valid, one French sentence per error with its line: never a value.

        Mode off: always empty. Mode warn: the sentences. Mode error: raises `Invalid` R36 when there are any.
        `document` has been read by `router.cda.document.read`.
        """
        if self._schema is None:
            return []
        tree = document_in(xml.read_whole(document if isinstance(document, bytes) else document.raw))
        if self._schema.validate(tree):
            return []
        log: Any = self._schema.error_log
        found = [_sentence(entry) for entry in list(log)[:_MOST]]
        if self.mode == "error":
            raise Invalid(
                "R36", xml.PLACE, filled("document non conforme au schéma CDA : {texts}", texts=" ; ".join(found))
            )
        return found


def _schema_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = next((path / name for name in _NAMES if (path / name).is_file()), None)
    if found is None:
        raise OperatorFault("CDA-SCHEMA", str(path), "schéma CDA introuvable (CDA_extended.xsd)")
    return found


def _load(path: Path) -> etree.XMLSchema:
    """Its includes are files beside it: no network, no entity."""
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        return etree.XMLSchema(etree.parse(str(path), parser))
    except (etree.XMLSyntaxError, etree.XMLSchemaParseError, OSError) as error:
        raise OperatorFault(
            "CDA-SCHEMA", str(path), filled("schéma CDA illisible : {error}", error=type(error).__name__)
        ) from error


#: libxml2's kind of error -> what it means. Its own text quotes the value, so it is never shown.
_MEANINGS: Final = {
    "SCHEMAV_ELEMENT_CONTENT": "élément inattendu ou manquant",
    "SCHEMAV_CVC_ELT_1": "élément inconnu",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": "attribut non admis",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": "attribut non admis",
    "SCHEMAV_CVC_COMPLEX_TYPE_4": "attribut obligatoire absent",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "valeur du mauvais type",
    "SCHEMAV_CVC_ENUMERATION_VALID": "valeur hors de la liste",
    "SCHEMAV_CVC_PATTERN_VALID": "valeur mal formée",
    "SCHEMAV_CVC_LENGTH_VALID": "valeur de mauvaise longueur",
    "SCHEMAV_CVC_MINLENGTH_VALID": "valeur trop courte",
}


def _sentence(entry: Any) -> str:
    return filled(
        "{text} (ligne {line})", text=_MEANINGS.get(entry.type_name or "", N_("non conforme")), line=entry.line
    )
