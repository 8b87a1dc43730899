"""A self-presenting CDA: an XSLT stylesheet around the document, a deprecated form (decisions D14).

It carries code that its reader would run, so a feed must ask for it; then the document inside is read, nothing is run,
and the bytes leave as they came.
"""

from __future__ import annotations

from typing import Any, Final

from router.cda import oids, xml

ROOT: Final = "{" + oids.NAMESPACE + "}ClinicalDocument"
_STYLESHEETS: Final = tuple("{http://www.w3.org/1999/XSL/Transform}" + name for name in ("stylesheet", "transform"))


def is_stylesheet(root: Any) -> bool:
    """Whether this is the root of a stylesheet."""
    return root.tag in _STYLESHEETS


def document_in(root: Any) -> Any:
    """The ClinicalDocument: the root itself, or the only one inside a stylesheet. Raises `Malformed` R35."""
    if not is_stylesheet(root):
        return root
    found = list(root.iter(ROOT))
    if len(found) != 1:
        raise xml.refused("CDA auto-présentable : un ClinicalDocument, et un seul, attendu dans la feuille de style.")
    return found[0]
