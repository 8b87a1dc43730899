"""An operator's Schematron audit of one document: XSLT 2, so saxonche (extra `audit`); never in the path.

Compiling the ANS's schematrons takes 12 to 15 s and 0.9 GB (hl7-input §6.5), and official example documents fail
them: the report informs a person and decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lxml import etree

from router.cda import xml
from router.errors import OperatorFault
from router.language import filled

_SVRL: Final = "{http://purl.oclc.org/dsdl/svrl}"
_LIMIT: Final = 64 * 2**20
_NOT_INSTALLED: Final = "l'audit demande saxonche : installer `segur-router[audit]`"
_COMPILED: Final = (".xsl", ".xslt")

#: The file that Saxon could not read; the rest of its message may quote the document.
_ABSENT = re.compile(r"I/O error[^\n]*?file:(\S+\.xml)")

#: The skeleton implementation of ISO Schematron for XSLT 2, in the order of its passes.
ENGINE: Final = ("iso_dsdl_include.xsl", "iso_abstract_expand.xsl", "iso_svrl_for_xslt2.xsl")


@dataclass(frozen=True, slots=True)
class Failure:
    """An assertion that failed (`kind` = assert) or a report that fired (`kind` = report).

    place: path of the element; text: the Schematron's own sentence, which may quote the document: for the
    operator's screen only, never for a log.
    """

    kind: str
    role: str
    place: str
    test: str
    text: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the audit found. `rules`: how many rules fired at all."""

    rules: int
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        return not any(failure.kind == "assert" for failure in self.failures)


def audit(document_path: Path, schematron_path: Path, engine: Path | None = None) -> AuditReport:
    """Run a Schematron over a document.

    `schematron_path`: a `.sch`, or the XSLT it was compiled to (`.xsl`). `engine`: the folder of the three
    stylesheets that compile a `.sch` (`ENGINE`); by default `moteur` beside it, as the ANS publishes them.
    Raises `OperatorFault` CDA-AUDIT when saxonche, the engine or the Schematron can't be used, `Malformed` R35 when
    the document can't.
    """
    _check_document(document_path)
    saxon = _Saxon(schematron_path.resolve().parent)
    if schematron_path.suffix.lower() in _COMPILED:
        return read_svrl(saxon.run(schematron_path, document_path))
    return read_svrl(saxon.run(_compiled(saxon, schematron_path, engine), document_path))


def _compiled(saxon: _Saxon, schematron: Path, engine: Path | None) -> str:
    """The XSLT of a `.sch`: includes resolved, abstract patterns expanded, then translated."""
    folder = engine or schematron.parent / "moteur"
    missing = [name for name in ENGINE if not (folder / name).is_file()]
    if missing:
        raise OperatorFault(
            "CDA-AUDIT", str(folder), filled("moteur Schematron incomplet : {names}", names=", ".join(missing))
        )
    source: Path | str = schematron
    for name in ENGINE:
        source = saxon.run(folder / name, source)
    return str(source)


def _check_document(path: Path) -> None:
    """No DOCTYPE, no entity: Saxon's own parser would follow them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OperatorFault("CDA-AUDIT", str(path), "document illisible") from error
    xml.check_bytes(data, _LIMIT)
    xml.check_syntax(data)


class _Saxon:
    """XSLT 2 and 3 by saxonche; nothing of it leaves this class but `OperatorFault`."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where a compiled Schematron finds the vocabularies that it names."""
        try:
            import saxonche
        except ImportError as error:
            raise OperatorFault("CDA-AUDIT", "saxonche", _NOT_INSTALLED) from error
        self._error: type[Exception] = saxonche.PySaxonApiError
        self._processor: Any = saxonche.PySaxonProcessor(license=False)
        self._folder = folder

    def run(self, stylesheet: Path | str, source: Path | str) -> str:
        """Transform a file, or the text of one, with a stylesheet's file, or its text."""
        try:
            xslt = self._processor.new_xslt30_processor()
            xslt.set_cwd(str(self._folder))
            executable = xslt.compile_stylesheet(**_named(stylesheet, "stylesheet_file", "stylesheet_text"))
            node = self._processor.parse_xml(**_named(source, "xml_file_name", "xml_text"))
            return str(executable.transform_to_string(xdm_node=node))
        except self._error as error:
            name = stylesheet.name if isinstance(stylesheet, Path) else "schematron compilé"
            absent = _ABSENT.search(str(error))
            reason = (
                filled("fichier absent : {name}", name=Path(absent[1]).name)
                if absent
                else "la transformation XSLT a échoué"
            )
            raise OperatorFault("CDA-AUDIT", name, reason) from error


def _named(given: Path | str, file: str, text: str) -> dict[str, str]:
    """How saxonche wants a file or a text to be passed."""
    return {file: str(given.resolve())} if isinstance(given, Path) else {text: given, "encoding": "UTF-8"}


def read_svrl(svrl: str) -> AuditReport:
    """The report in a Schematron's output (ISO SVRL)."""
    root: Any = etree.fromstring(svrl.encode(), xml.parser())
    failures = [
        Failure(
            kind="assert" if element.tag == f"{_SVRL}failed-assert" else "report",
            role=element.get("role", ""),
            place=element.get("location", ""),
            test=element.get("test", ""),
            text=" ".join("".join(element.itertext()).split()),
        )
        for element in root.iter(f"{_SVRL}failed-assert", f"{_SVRL}successful-report")
    ]
    return AuditReport(sum(1 for _ in root.iter(f"{_SVRL}fired-rule")), tuple(failures))
