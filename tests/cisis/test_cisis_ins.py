"""The INS: recognising it, its key, its status; whether message and document speak of one patient (R41, R42, D6)."""

from __future__ import annotations

from datetime import date

import pytest

from router.cisis import ins
from router.cisis.age import age_at
from router.cisis.ins import Match
from router.request import Identifier, Patient
from router.structures import Environment

TEST = "1.2.250.1.213.1.4.10"
REAL = "1.2.250.1.213.1.4.8"
NIA = "1.2.250.1.213.1.4.9"
LOCAL = "1.2.250.1.999.9"
VALID = "279035121518989"
AUTORITES = {"CHU-X&000897406&N": LOCAL}


def cx(value: str, authority: str = "", kind: str = "PI", namespace: str = "") -> Identifier:
    """A repetition of PID-3."""
    return Identifier(value=value, authority=authority, kind=kind, namespace=namespace)


def ii(value: str, authority: str) -> Identifier:
    """An id of the CDA."""
    return Identifier(value=value, authority=authority)


@pytest.mark.parametrize("matricule", [VALID, "277076322082910", "274075176079430", "146026322000196"])
def test_e31_valid_keys_are_accepted(matricule: str) -> None:
    """E31: the matricules of the national examples have a valid key."""
    assert ins.has_valid_key(matricule)


@pytest.mark.parametrize("matricule", ["276037510669380", "279035121518988", "27903512151898", "", "X79035121518989"])
def test_e31_wrong_keys_are_seen(matricule: str) -> None:
    """E31: a wrong key, a wrong length or a letter make the matricule invalid."""
    assert not ins.has_valid_key(matricule)


@pytest.mark.parametrize(("department", "digits"), [("2A", "19"), ("2B", "18")])
def test_e31_corsica_counts_as_19_and_18(department: str, digits: str) -> None:
    """E31: 2A and 2B are replaced before the key is computed."""
    key = f"{97 - int(f'19001{digits}004001') % 97:02d}"
    assert ins.has_valid_key(f"19001{department}004001{key}")
    assert not ins.has_valid_key(f"19001{department}004001{(int(key) % 97) + 1:02d}")


def test_e30_the_billing_nir_is_no_ins() -> None:
    """E30: CX-5 = NH under the INS OID is billing data."""
    assert ins.is_pid_ins(cx(VALID, REAL, "INS"))
    assert not ins.is_pid_ins(cx(VALID, REAL, "NH"))
    assert not ins.is_ins(cx(VALID, REAL, "NH"))
    assert not ins.is_pid_ins(cx(VALID, REAL, ""))
    assert not ins.is_pid_ins(cx(VALID, "1.2.250.1.213.1.4.2", "INS"))
    assert not ins.is_pid_ins(cx(VALID, LOCAL, "INS"))


def test_an_oid_in_hd_1_is_taken_for_the_authority() -> None:
    """hl7-input §5.5: some senders write the OID in HD-1."""
    assert ins.is_pid_ins(cx(VALID, "", "INS", namespace=TEST))


def test_the_nir_is_preferred_to_the_nia() -> None:
    """PAM-FR §6.6.1: of NIA and NIR the NIR is kept, whatever their order."""
    both = [cx("1", NIA, "INS"), cx("2", REAL, "INS")]
    found = ins.preferred_ins(both)
    assert found is both[1]
    assert ins.preferred_ins([cx("1", LOCAL)]) is None


@pytest.mark.parametrize(
    ("oid", "environment", "refused"),
    [
        (TEST, "production", True),
        ("1.2.250.1.213.1.4.11", "production", True),
        (REAL, "production", False),
        (REAL, "qualification", True),
        (NIA, "qualification", True),
        (TEST, "qualification", False),
        (LOCAL, "production", False),
    ],
)
def test_d9_test_and_real_ins_agree_with_the_environment(oid: str, environment: Environment, refused: bool) -> None:
    """D9: a test INS has no place in production, nor a real one in qualification."""
    assert bool(ins.environment_fault(cx(VALID, oid, "INS"), environment)) is refused


@pytest.mark.parametrize(
    ("codes", "fictitious", "validated"),
    [
        (["VALI"], "", True),
        (["VALI", "HOMA"], "", True),
        ([" vali "], "N", True),
        (["PROV", "FICT"], "", False),
        (["PROV"], "", False),
        ([], "", False),
        ([""], "", False),
        (["VALI", "FICT"], "", False),
        (["VALI", "DOUT"], "", False),
        (["VALI"], "Y", False),
        (["VALI", "PROV"], "", False),
        (["VALI", "USUR"], "", False),
        (["QUAL"], "", False),
    ],
)
def test_e29_status_of_the_identity(codes: list[str], fictitious: str, validated: bool) -> None:
    """E29: VALI validates, unless an attribute or PID-31 says fictitious or doubtful."""
    found = ins.status(codes, fictitious)
    assert found.validated is validated
    assert bool(found.reason) is not validated


def test_e29_unknown_status_codes_are_named() -> None:
    """E29: RNIV's QUAL does not exist in HL7 and is reported as unknown."""
    assert ins.status(["VALI", "QUAL"]).unknown == ("QUAL",)


@pytest.mark.parametrize(
    ("pid", "cda", "expected"),
    [
        ([cx(VALID, TEST, "INS")], [ii(VALID, TEST)], Match.SAME_INS),
        # E27: the normal case, the document carries one local id more
        ([cx(VALID, TEST, "INS")], [ii(VALID, TEST), ii("X", LOCAL)], Match.SAME_INS),
        # E26: another matricule; the same matricule under another OID
        ([cx(VALID, TEST, "INS")], [ii("277076322082910", TEST)], Match.CONFLICT),
        ([cx(VALID, TEST, "INS")], [ii(VALID, REAL)], Match.CONFLICT),
        # an INS on both sides decides alone, whatever the local ids say
        ([cx(VALID, TEST, "INS"), cx("A", LOCAL)], [ii("277076322082910", TEST), ii("A", LOCAL)], Match.CONFLICT),
        ([cx("1", NIA, "INS"), cx(VALID, REAL, "INS")], [ii(VALID, REAL)], Match.SAME_INS),
        # through the table of authorities
        ([cx("000003", namespace="CHU-X&000897406&N")], [ii("000003", LOCAL)], Match.COMMON_ID),
        ([cx("000003", namespace="CHU-X")], [ii(VALID, TEST), ii("000003", LOCAL)], Match.COMMON_ID),
        ([cx("000003", namespace="CHU-X")], [ii("000004", LOCAL)], Match.CONFLICT),
        ([cx("A", LOCAL)], [ii("A", LOCAL)], Match.COMMON_ID),
        # nothing that both know
        ([cx("000003", namespace="AUTRE")], [ii("000003", LOCAL)], Match.UNDECIDED),
        ([cx("000003", namespace="CHU-X")], [ii(VALID, TEST)], Match.UNDECIDED),
        ([], [], Match.UNDECIDED),
        # a visit number, a file number and a billing NIR name no patient
        ([cx("9", LOCAL, "VN")], [ii("9", LOCAL)], Match.UNDECIDED),
        ([cx(VALID, REAL, "NH")], [ii(VALID, REAL)], Match.UNDECIDED),
    ],
)
def test_r41_identifiers_are_compared_through_the_authorities_table(
    pid: list[Identifier], cda: list[Identifier], expected: Match
) -> None:
    """R41 (E26, E27, D3): an INS on both sides decides; else a common identifier of a common authority."""
    assert ins.same_patient_ids(pid, cda, AUTORITES) is expected


def test_r41_an_ambiguous_authority_decides_nothing() -> None:
    """R41: two authorities whose first part is the same can't be told apart by it."""
    table = {"CHU-X&1&N": LOCAL, "CHU-X&2&N": "1.2.250.1.999.8"}
    assert ins.same_patient_ids([cx("A", namespace="CHU-X")], [ii("A", LOCAL)], table) is Match.UNDECIDED
    assert ins.same_patient_ids([cx("A", namespace="CHU-X&1&N")], [ii("A", LOCAL)], table) is Match.COMMON_ID


def patient(**traits: str) -> Patient:
    """A patient with the usual traits, some of them changed."""
    usual = {
        "birth_family": "PAT-TROIS",
        "given": "DOMINIQUE",
        "given_names": "DOMINIQUE ANNE",
        "birth_date": "19790328",
        "sex": "F",
        "birthplace": "63220",
    }
    return Patient(**(usual | traits))


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({}, []),
        ({"birth_family": "Pat trois"}, []),
        ({"birth_family": "PÂT-TROIS"}, []),
        ({"birth_family": "NESSI"}, ["birth_family"]),
        ({"birth_date": "197903280000+0100"}, []),
        ({"birth_date": "1979"}, []),
        ({"birth_date": "19790329"}, ["birth_date"]),
        ({"sex": "M"}, ["sex"]),
        ({"sex": "UN"}, []),
        ({"given_names": "ANNE,DOMINIQUE"}, []),
        ({"given_names": "DOMINIQUE CLAIRE"}, []),
        ({"given_names": "", "given": "Dominique"}, []),
        ({"given_names": "", "given": "RUTH"}, ["given"]),
        ({"given": "RUTH"}, ["given"]),
        ({"given": "ANNE"}, ["given"]),
        ({"given": ""}, []),
        ({"given": "", "given_names": "ANNE DOMINIQUE"}, ["given"]),
        ({"given": "", "given_names": ""}, []),
        ({"birthplace": ""}, []),
        ({"birthplace": "75056"}, ["birthplace"]),
        ({"birth_family": "", "birth_date": "", "sex": ""}, []),
        (
            {"birth_family": "NESSI", "birth_date": "19770704", "sex": "M"},
            ["birth_family", "birth_date", "sex"],
        ),
    ],
    ids=range(22),  # ids of the form `change10` would be found by `-k E10`
)
def test_r42_traits_are_compared_without_accents_and_dashes(change: dict[str, str], differing: list[str]) -> None:
    """R42: names without accents and dashes, dates on 8 digits, the first given name, COG when both have one."""
    assert ins.same_traits(patient(**change), patient()) == differing


@pytest.mark.parametrize(
    ("received", "cda", "same"),
    [
        ("Jean-Paul", {"given": "JEAN PAUL"}, True),
        ("JEAN", {"given": "JEAN-PAUL"}, False),
        ("JEAN-PAUL", {"given": "JEAN"}, False),
        ("N’GUESSAN", {"given": "n'guessan"}, True),
        ("ÉLODIE  ANNE", {"given": "Elodie Anne"}, True),
        ("JEAN-PAUL", {"given": "JEAN", "given_list": "JEAN PAUL MARIE"}, True),
        ("JEAN", {"given": "JEAN", "given_list": "JEAN PAUL MARIE"}, True),
        ("PAUL", {"given": "JEAN", "given_list": "JEAN PAUL MARIE"}, False),
        ("JEAN PAUL MARIE ANNE", {"given": "JEAN", "given_list": "JEAN PAUL MARIE"}, False),
    ],
    ids=range(9),
)
def test_r42_the_first_given_name_is_compared_whole(received: str, cda: dict[str, str], same: bool) -> None:
    """R42: siblings born on one day differ by it; a CDA's unqualified list must begin with it (D10)."""
    pid = patient(given=received, given_names="")
    assert ins.same_traits(pid, patient(given_names="", **cda)) == ([] if same else ["given"])


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("DOMINIQUE ANNE", "Anne,Dominique", True),
        ("DOMINIQUE ANNE", "DOMINIQUE", False),
        ("DOMINIQUE ANNE", "", True),
        ("", "DOMINIQUE", True),
    ],
)
def test_r42_the_lists_are_compared_when_both_are_there(ours: str, theirs: str, same: bool) -> None:
    """R42: in any order; a list that one side lacks differs from nothing (D10)."""
    assert ins.same_given_names(patient(given_names=ours), patient(given_names=theirs)) is same


def test_r42_apostrophes_and_ligatures_are_folded() -> None:
    """R42: typographic apostrophes and ligatures don't make another person."""
    assert ins.normal("d’Œuvre–Léon") == ins.normal("D'OEUVRE LEON") == "D OEUVRE LEON"


@pytest.mark.parametrize("missing", ["birth_family", "given", "given_names", "birth_date", "sex", "birthplace"])
def test_r44_every_trait_counts(missing: str) -> None:
    """R44: an INS goes with all six traits."""
    assert ins.is_complete(patient())
    assert not ins.is_complete(patient(**{missing: ""}))


@pytest.mark.parametrize(
    ("born", "act", "age"),
    [
        ("20080105", "20260105101530+0100", 18),
        ("20080106", "20260105", 17),
        ("19790328", "20260105", 46),
        ("200801", "20260105", 17),
        ("2008", "20261230", 17),
        ("2008", "20261231", 18),
        ("19500000", "20260105", 75),
        ("", "20260105", None),
        ("19790328", "", None),
        ("19790328", "2026", None),
        ("20270101", "20260105", None),
        ("INCONNU", "20260105", None),
    ],
)
def test_d6_age_at_the_act(born: str, act: str, age: int | None) -> None:
    """D6: age in whole years; the youngest possible for a partial birth date; None when unknown."""
    assert age_at(born, act, date(2027, 6, 1)) == age


@pytest.mark.parametrize(("act", "age"), [("20260104", 17), ("20260105", 18), ("20260106", 18), ("20260107", None)])
def test_d6_nobody_is_older_than_today(act: str, age: int | None) -> None:
    """D6: an act of tomorrow (clocks) counts as today's, one after tomorrow gives no age."""
    assert age_at("20080105", act, date(2026, 1, 5)) == age
    assert age_at("20080106", act, date(2026, 1, 5)) == (None if age is None else 17)
