"""XSD validation when the site provides the schema (R36)."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.cda.document import read
from router.cda.schema import Mode, SchemaGate
from router.errors import Invalid, OperatorFault
from tests.cda.cda_samples import cda

XSD = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:hl7-org:v3"
 elementFormDefault="qualified"><xs:element name="ClinicalDocument"><xs:complexType><xs:sequence>
 <xs:element name="realmCode"><xs:complexType><xs:attribute name="code" type="xs:string" fixed="FR"/></xs:complexType>
 </xs:element><xs:any minOccurs="0" maxOccurs="unbounded" processContents="skip"/>
 </xs:sequence></xs:complexType></xs:element></xs:schema>"""

VALID = cda()
WRONG = cda(change=(('<realmCode code="FR"/>', '<realmCode code="SECRET"/>'),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds a schema under the official name."""
    (tmp_path / "CDA_extended.xsd").write_text(XSD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("mode", ["warn", "error"])
def test_r36_a_valid_document_passes(folder: Path, mode: Mode) -> None:
    """R36: a document that follows the schema has no sentence, read or as bytes."""
    gate = SchemaGate(folder, mode)
    assert gate.check(read(VALID)) == gate.check(VALID) == []


def test_r36_warn_tells_and_error_refuses(folder: Path) -> None:
    """R36: off says nothing, warn gives the sentences, error raises; none of them quotes a value."""
    assert SchemaGate(folder, "off").check(WRONG) == []
    [sentence] = SchemaGate(folder / "CDA_extended.xsd", "warn").check(WRONG)
    assert "ligne" in sentence and "SECRET" not in sentence
    with pytest.raises(Invalid) as caught:
        SchemaGate(folder, "error").check(WRONG)
    assert (caught.value.code, caught.value.place) == ("R36", "OBX^1^5^1^5")
    assert "SECRET" not in str(caught.value)


def test_r36_an_unexpected_element_is_named_by_its_line(folder: Path) -> None:
    """R36: what is missing or unexpected is told with its line."""
    wrong = cda(change=(('<realmCode code="FR"/>', ""),))
    assert SchemaGate(folder, "warn").check(wrong) == ["élément inattendu ou manquant (ligne 2)"]


@pytest.mark.parametrize(
    "content", [None, "<a", "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:x/></xs:schema>"]
)
def test_r36_an_unusable_schema_is_the_operators_fault(tmp_path: Path, content: str | None) -> None:
    """R36: a schema that is absent or broken is said at start-up; off does not even look."""
    if content is not None:
        (tmp_path / "CDA_extended.xsd").write_text(content, encoding="utf-8")
    with pytest.raises(OperatorFault) as caught:
        SchemaGate(tmp_path, "warn")
    assert caught.value.code == "CDA-SCHEMA"
    SchemaGate(tmp_path, "off")
