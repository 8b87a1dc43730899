"""Data types of XDS metadata: times, identifiers, names, titles (dmp §2.1, §10)."""

from __future__ import annotations

import contextlib
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import Invalid
from router.request import Author, Device, Patient, Professional, Structure
from router.xds import datatypes

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20240101003000+0100", "20231231233000"),
        ("20240101003000-0400", "20240101043000"),
        ("202401010030+0100", "202312312330"),
        ("2024010100+0545", "202312311815"),
        ("2024010100+0100", "2023123123"),
        ("20240229235959+0000", "20240229235959"),
        ("20240101003000.123+0100", "20231231233000"),
        ("20240101", "20240101"),
        ("202401", "202401"),
        ("2024", "2024"),
        ("20241027023000+0200", "20241027003000"),
        ("20241027023000+0100", "20241027013000"),
    ],
)
def test_times_become_utc(value: str, expected: str) -> None:
    """A time is converted with its own offset, also at the hour that summer time repeats; a date stays a date."""
    assert datatypes.dtm(value) == expected


def test_a_time_without_offset_needs_a_zone() -> None:
    """It is refused, or taken in the zone of the site."""
    assert datatypes.dtm("20240701120000", PARIS) == "20240701100000"
    assert datatypes.dtm("20240101120000", PARIS) == "20240101110000"
    with pytest.raises(Invalid) as caught:
        datatypes.dtm("20240101120000", None, place="creationTime")
    assert (caught.value.code, caught.value.place) == ("XDS-DTM", "creationTime")


@pytest.mark.parametrize(
    "value", ["", "2024-01-01", "20241301120000+0100", "20240101250000+0100", "x", "00000101120000+0100"]
)
def test_impossible_times_are_invalid(value: str) -> None:
    """The fault holds no value."""
    with pytest.raises(Invalid) as caught:
        datatypes.dtm(value)
    assert not value or value not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_as_time(value: str) -> None:
    """Whatever the text, a DTM or an `Invalid`."""
    with contextlib.suppress(Invalid):
        found = datatypes.dtm(value, PARIS)
        assert found.isascii() and found.isdigit()


def test_derived_oids() -> None:
    """The same at each call, different for each purpose and delivery, valid for XDS."""
    one = datatypes.oid_of("a" * 32, "set")
    assert one == datatypes.oid_of("a" * 32, "set")
    assert len({one, datatypes.oid_of("a" * 32, "signature"), datatypes.oid_of("b" * 32, "set")}) == 3
    assert datatypes.is_oid(one)


@given(st.text(max_size=40), st.text(max_size=40))
def test_derived_oids_are_always_valid(delivery: str, purpose: str) -> None:
    """At most 64 characters, no leading zero."""
    assert datatypes.is_oid(datatypes.oid_of(delivery, purpose))


@pytest.mark.parametrize("text", ["1.2.3", "2.25.0", "1.2.250.1.213.1.4.8"])
def test_oids(text: str) -> None:
    """Well-formed ones."""
    assert datatypes.is_oid(text)


@pytest.mark.parametrize("text", ["", "1", "3.1", "1.02", "1.2.", "1.2^x", "1.2 ", "1." + "1" * 64])
def test_not_oids(text: str) -> None:
    """Leading zeros, extensions, blanks, too long."""
    assert not datatypes.is_oid(text)


def test_delimiters_are_escaped() -> None:
    """HL7's five delimiters are escaped once; line breaks become blanks."""
    assert datatypes.escape("A^B&C~D|E\\F") == "A\\S\\B\\T\\C\\R\\D\\F\\E\\E\\F"
    assert datatypes.escape(" deux\r\n lignes\t") == "deux lignes"
    assert datatypes.escape("D'Île-Ÿ") == "D'Île-Ÿ"


def test_titles() -> None:
    """128 characters pass, 129 are cut, line breaks disappear."""
    assert datatypes.title("é" * 128) == "é" * 128
    assert len(datatypes.title("é" * 129)) == 128
    assert datatypes.title("Compte\n  rendu\r\n") == "Compte rendu"


@pytest.mark.parametrize(
    ("number", "kind", "expected"),
    [
        ("801234567866", "RPPS", ("801234567866", "IDNPS")),
        ("801234567866", "IDNPS", ("801234567866", "IDNPS")),
        ("10001234567", "RPPS", ("810001234567", "IDNPS")),
        ("3300017985/42", "IDNPS", ("3300017985/42", "EI")),
        ("751234567", "ADELI", ("0751234567", "IDNPS")),
    ],
)
def test_ps_id_nat(number: str, kind: str, expected: tuple[str, str]) -> None:
    """A prefix that is there stays; a bare RPPS or ADELI gets its own (dmp §2.1)."""
    assert datatypes.ps_id_nat(number, kind) == expected


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (Structure(id="300017985", kind="FINEG"), "1300017985"),
        (Structure(id="2A0000014", kind="FINEJ"), "12A0000014"),
        (Structure(id="1300017985", kind="IDNST", finess="300017985"), "1300017985"),
        (Structure(id="1300017985", kind="FINEG", finess="300017985"), "1300017985"),
        (Structure(id="0042", kind="UF", finess="300017985"), "1300017985"),
        (Structure(name="Cabinet"), ""),
    ],
)
def test_struct_id_nat(structure: Structure, expected: str) -> None:
    """A FINESS may hold letters; a unit of a hospital is its hospital."""
    assert datatypes.struct_id_nat(structure) == expected


def test_persons_software_and_organisations() -> None:
    """XCN and XON in their national form, from the national examples."""
    person = Professional(id="801234567866", kind="RPPS", family="Dupont^Durand", given="Jean")
    assert datatypes.xcn(person) == "801234567866^Dupont\\S\\Durand^Jean^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
    machine = Device(id="3300017985/SIL", name="SIL", model="V4")
    assert datatypes.author_person(Author(device=machine)).endswith("^SIL^V4^^^^^^&1.2.250.1.71.4.2.1&ISO^U^^^RI")
    plain = Device(id="LOGICIEL-1", name="LOGICIEL-1")
    assert datatypes.author_person(Author(device=plain)) == (
        "LOGICIEL-1^LOGICIEL-1^LOGICIEL-1^^^^^^&1.2.250.1.71.4.2.1&ISO^U^^^RI"
    )
    oid = Device(id="1.2.250.1.999.5", name="SIL")
    assert datatypes.xcn_device(oid) == "1.2.250.1.999.5^SIL^SIL^^^^^^&1.2.250.1.71.4.2.1&ISO^U^^^RI"
    own = Device(id="ROBOT-1", authority="1.2.250.1.999.5", name="Robot", model="M1")
    assert datatypes.xcn_device(own) == "ROBOT-1^Robot^M1^^^^^^&1.2.250.1.999.5&ISO^U^^^RI"
    structure = Structure(id="300017985", name="Hopital A", kind="FINEG")
    assert datatypes.xon(structure) == "Hopital A^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^1300017985"
    assert datatypes.xon(Structure(name="Cabinet {0}")) == "Cabinet {0}"
    assert datatypes.author_person(Author()) == ""


@given(st.text(max_size=400), st.text(max_size=400), st.text(max_size=30))
def test_a_slot_value_is_never_too_long(family: str, given: str, number: str) -> None:
    """Whatever the names, at most 256 characters and 12 component separators."""
    value = datatypes.xcn(Professional(id=number, family=family, given=given))
    assert len(value) <= 256
    assert value.count("^") == 12


def test_long_names_are_shortened_before_they_are_escaped() -> None:
    """No escape sequence is cut in two."""
    value = datatypes.xcn(Professional(id="801234567866", family="&" * 300, given="Jean"))
    assert len(value) <= 256
    assert set(value.split("^")[1].replace("\\T\\", "")) == set()


def test_names_of_the_patient() -> None:
    """One line for the birth name, one for the used name when it differs; birth date and sex."""
    patient = Patient(birth_family="MARTIN", used_family="DURAND", given="ANNE", birth_date="19790328", sex="F")
    assert datatypes.source_patient_info(patient) == (
        "PID-5|MARTIN^ANNE^^^^^L",
        "PID-5|DURAND^ANNE^^^^^D",
        "PID-7|19790328",
        "PID-8|F",
    )
    same = patient.model_copy(update={"used_family": "MARTIN", "sex": "", "birth_date": ""})
    assert datatypes.source_patient_info(same) == ("PID-5|MARTIN^ANNE^^^^^L",)
