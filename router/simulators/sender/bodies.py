"""The bodies: `nonXMLBody` with its PDF (N1), `structuredBody` with results and *Copie du document* (N3)."""

from __future__ import annotations

import base64
import random
from xml.sax.saxutils import escape

#: LOINC code, name, unit, usual low and high of the results a report shows.
_ANALYSES = (
    ("718-7", "Hémoglobine", "g/dL", 12.0, 16.0),
    ("6690-2", "Leucocytes", "10*9/L", 4.0, 10.0),
    ("777-3", "Plaquettes", "10*9/L", 150, 400),
    ("2345-7", "Glucose", "g/L", 0.7, 1.1),
    ("14682-9", "Créatinine", "µmol/L", 45, 104),
    ("2951-2", "Sodium", "mmol/L", 136, 145),
    ("2823-3", "Potassium", "mmol/L", 3.5, 5.1),
    ("1988-5", "Protéine C réactive", "mg/L", 0.0, 5.0),
)


def non_xml(pdf: bytes, media_type: str = "application/pdf") -> bytes:
    """The body of an N1."""
    opening = f'<component><nonXMLBody><text mediaType="{media_type}" representation="B64">'
    return opening.encode() + base64.b64encode(pdf) + b"</text></nonXMLBody></component>"


def biology(pdf: bytes | None, rng: random.Random, encoding: str = "UTF-8") -> bytes:
    """The body of a biology N3: a chapter of results, a comment and, with `pdf`, the copy of the document."""
    text = (
        "<component><structuredBody>"
        + _section("18719-5", "Biochimie et hématologie", _results(rng))
        + _section("55112-7", "Commentaire", "<paragraph>Résultats à confronter à la clinique.</paragraph>")
    )
    head = text.encode(encoding.lower(), "xmlcharrefreplace")
    copy = _copy(pdf, encoding) if pdf is not None else b""
    return head + copy + b"</structuredBody></component>"


def _section(code: str, title: str, text: str) -> str:
    return (
        f'<component><section><code code="{code}" codeSystem="2.16.840.1.113883.6.1" '
        f'displayName="{escape(title)}"/><title>{escape(title)}</title><text>{text}</text></section></component>'
    )


def _results(rng: random.Random) -> str:
    rows = []
    for _, name, unit, low, high in _ANALYSES:
        value = rng.uniform(low * 0.9, high * 1.1)
        rows.append(f"<tr><td>{name}</td><td>{value:.2f}</td><td>{unit}</td><td>{low} - {high}</td></tr>")
    head = "<tr><th>Analyse</th><th>Résultat</th><th>Unité</th><th>Valeurs usuelles</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _copy(pdf: bytes, encoding: str) -> bytes:
    """Section 55108-5, template 1.2.250.1.213.1.1.2.243 (hl7-input §6.3)."""
    loinc = 'codeSystem="2.16.840.1.113883.6.1"'
    opening = (
        '<component><section><templateId root="1.2.250.1.213.1.1.2.243"/>'
        f'<code code="55108-5" displayName="Copie du document" {loinc}/><title>Copie du document</title>'
        '<text><renderMultiMedia referencedObject="doc-1"/></text><entry><organizer classCode="CLUSTER" '
        'moodCode="EVN"><templateId root="1.2.250.1.213.1.1.3.18"/>'
        f'<code code="55107-7" displayName="Document attaché" {loinc}/><statusCode code="completed"/>'
        '<component><observationMedia classCode="OBS" moodCode="EVN" ID="doc-1">'
        '<value mediaType="application/pdf" representation="B64">'
    )
    closing = "</value></observationMedia></component></organizer></entry></section></component>"
    return (
        opening.encode(encoding.lower(), "xmlcharrefreplace") + base64.b64encode(pdf) + closing.encode(encoding.lower())
    )
