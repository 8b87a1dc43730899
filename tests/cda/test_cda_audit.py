"""The operator's Schematron audit: with saxonche, and what is said without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from router.cda.audit import ENGINE, audit, read_svrl
from router.errors import Malformed, OperatorFault
from tests.cda.cda_samples import cda

XSL = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:svrl="http://purl.oclc.org/dsdl/svrl"'
CHECK = f"""<xsl:stylesheet version="2.0" {XSL} xmlns:h="urn:hl7-org:v3"><xsl:template match="/">
<svrl:schematron-output>
<svrl:fired-rule context="/"/><xsl:if test="not(h:ClinicalDocument/h:setId)">
<svrl:failed-assert test="h:setId" location="/ClinicalDocument" role="error"><svrl:text>setId  obligatoire</svrl:text>
</svrl:failed-assert></xsl:if><xsl:if test="matches(//h:title, 'biologie')">
<svrl:successful-report test="x" location="/title"><svrl:text>biologie</svrl:text></svrl:successful-report></xsl:if>
</svrl:schematron-output></xsl:template></xsl:stylesheet>"""
COPY = '<xsl:template match="/"><xsl:copy-of select="."/></xsl:template>'
IDENTITY = f'<xsl:stylesheet version="2.0" {XSL}>{COPY}</xsl:stylesheet>'
NO_SET = ('<setId root="1.2.250.1.999.1" extension="S7"/>', "")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A document without setId."""
    path = tmp_path / "document.xml"
    path.write_bytes(cda(change=(NO_SET,)))
    return path


def test_a_compiled_schematron_is_run_with_xslt_2(tmp_path: Path, document: Path) -> None:
    """Failed assertions and reports are listed; `matches` needs XSLT 2."""
    (tmp_path / "check.xsl").write_text(CHECK, encoding="utf-8")
    report = audit(document, tmp_path / "check.xsl")
    assert report.rules == 1 and not report.passed
    assert [(f.kind, f.place, f.text) for f in report.failures] == [
        ("assert", "/ClinicalDocument", "setId obligatoire"),
        ("report", "/title", "biologie"),
    ]
    document.write_bytes(cda())
    assert audit(document, tmp_path / "check.xsl").passed


def test_a_schematron_is_compiled_by_the_sites_engine(tmp_path: Path, document: Path) -> None:
    """A `.sch` goes through the three passes of the engine; here each passes its input on."""
    (tmp_path / "check.sch").write_text(CHECK, encoding="utf-8")
    with pytest.raises(OperatorFault) as caught:
        audit(document, tmp_path / "check.sch")
    assert "moteur" in caught.value.text
    (tmp_path / "moteur").mkdir()
    for name in ENGINE:
        (tmp_path / "moteur" / name).write_text(IDENTITY, encoding="utf-8")
    assert len(audit(document, tmp_path / "check.sch").failures) == 2


def test_a_vocabulary_that_is_absent_is_named(tmp_path: Path, document: Path) -> None:
    """A Schematron that names a missing file says which one."""
    (tmp_path / "check.xsl").write_text(CHECK.replace("//h:title", "doc('voc-471.xml')//x"), encoding="utf-8")
    with pytest.raises(OperatorFault) as caught:
        audit(document, tmp_path / "check.xsl")
    assert "voc-471.xml" in caught.value.text


def test_e06_a_document_with_a_doctype_is_not_given_to_saxon(tmp_path: Path, document: Path) -> None:
    """E06: the audit follows no entity either."""
    document.write_bytes(cda(before='<!DOCTYPE a SYSTEM "file:///etc/passwd">'))
    with pytest.raises(Malformed) as caught:
        audit(document, tmp_path / "check.xsl")
    assert caught.value.code == "R35"


def test_without_saxonche_one_sentence_says_what_to_install(
    tmp_path: Path, document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optional extra is named when it is missing."""
    monkeypatch.setitem(sys.modules, "saxonche", None)
    with pytest.raises(OperatorFault) as caught:
        audit(document, tmp_path / "check.xsl")
    assert "segur-router[audit]" in caught.value.text


def test_an_output_without_failures_passes() -> None:
    """An SVRL with fired rules alone is a success."""
    report = read_svrl('<o xmlns="http://purl.oclc.org/dsdl/svrl"><fired-rule/><fired-rule/></o>')
    assert (report.rules, report.failures, report.passed) == (2, (), True)
