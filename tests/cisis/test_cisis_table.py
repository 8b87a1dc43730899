"""The rule table and the conformance page: complete, well-formed, and tested for every number."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from router.cisis import conformance
from router.cisis.edges import EDGES
from router.cisis.findings import Finding, Findings
from router.cisis.rule import Severity, in_order
from router.cisis.rules import CONFIGURABLE, TABLE, as_json
from router.cisis.settings import ProfileRules
from router.hl7.ack import APPLICATION_CONDITIONS, MESSAGE_CONDITIONS, Err
from router.request import Dialect

#: The numbers of the rules that hl7-input §2.2 names.
SHEET = [
    *range(1, 13), *range(20, 25), *range(30, 38), *range(40, 47), *range(50, 54), *range(60, 65), *range(70, 74),
    *range(80, 94), 99,
]  # fmt: skip
#: Rules that decisions D1 softens for a deletion.
SOFT = {"R36", "R37", "R43", "R44", "R50", "R51", "R52", "R53", "R64", "R87", "R88", "R89", "R90"}


def test_every_rule_of_the_sheet_is_in_the_table() -> None:
    """Numbers of ours are marked `site`, those of hl7-input §2.2 are not."""
    sheet = {f"R{number:02d}" for number in SHEET}
    assert sheet <= set(TABLE)
    assert {number for number, rule in TABLE.items() if rule.source == "site"} == set(TABLE) - sheet


def test_every_case_has_codes_that_exist_and_a_sentence() -> None:
    """ERR-3 and ERR-5 are in their tables; ERR-5 goes with 207 only; locations are well-formed."""
    place = re.compile(r"(|[A-Z{}a-z0-9]{3,9}(\^(\d+|\{n\}|\{field\})){0,5})")
    for rule in TABLE.values():
        keys = [case.key for case in rule.cases]
        assert len(keys) == len(set(keys)), rule.number
        for case in rule.cases:
            assert case.error == "" or case.error in MESSAGE_CONDITIONS, (rule.number, case.key)
            assert (case.error == "207") == bool(case.detail), (rule.number, case.key)
            assert case.detail == "" or case.detail in APPLICATION_CONDITIONS
            assert place.fullmatch(case.location), (rule.number, case.location)
            assert case.sentence.endswith("."), (rule.number, case.key)


def test_a_fault_always_has_an_err_3() -> None:
    """A case that can be an AE says with which code."""
    for rule in TABLE.values():
        if "E" in rule.on or rule.option in ("r86", "r90", "matrice_mssante", "metadata_order"):
            assert any(case.error for case in rule.cases if case.severity is None), rule.number


def test_a_deletion_is_softened_where_d1_says_so() -> None:
    """And nowhere else among the rules of hl7-input §2.2."""
    soft = {number for number, rule in TABLE.items() if rule.deletion is Severity.WARN and rule.source != "site"}
    assert soft == SOFT


def test_options_exist_and_only_configurable_rules_are_configured() -> None:
    """The table's options are fields of the settings; `severities` takes no other rule."""
    fields = ProfileRules.model_fields
    assert {rule.option for rule in TABLE.values() if rule.option} <= set(fields)
    assert all(field.description for field in fields.values())
    assert "R36" in CONFIGURABLE
    with pytest.raises(ValidationError, match="not configurable: R42"):
        ProfileRules(severities={"R42": Severity.WARN})
    assert ProfileRules.model_validate({"matrice-mssante": "strict"}).matrice_mssante == "strict"


def test_the_table_prints_as_json_one_object_per_rule() -> None:
    """What `segur-router cisis rules --json` shows."""
    rows = json.loads(json.dumps([as_json(rule) for rule in TABLE.values()]))
    assert [row["rule"] for row in rows] == sorted(TABLE, key=lambda number: int(number[1:]))
    r45 = next(row for row in rows if row["rule"] == "R45")
    assert (r45["severity"], r45["err3"], r45["err2"], r45["err5"]) == ("error", "207", "PID^1^32", "903")
    assert r45["dialects"] == {str(dialect): "error" for dialect in Dialect}
    assert r45["sentence"] and r45["configurable"]


def test_numbers_of_three_digits_come_behind_those_of_two(tmp_path: Path) -> None:
    """R99 before R100: in the table, among the faults of an answer, and in what a test's name proves."""
    assert sorted(["R100", "R99", "R10", "R101", "R09"], key=in_order) == ["R09", "R10", "R99", "R100", "R101"]
    assert list(TABLE) == sorted(TABLE, key=in_order)
    findings = Findings(ProfileRules(), Dialect.V2_1)
    for number in ("R100", "R99", "R42"):
        findings._keep(Finding(number, Err("207", "", text=number)), Severity.ERROR)
        findings._keep(Finding(number, Err("207", "", text=number)), Severity.WARN)
    assert [one.rule for one in findings.faults] == [one.rule for one in findings.warnings] == ["R42", "R99", "R100"]
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_x.py").write_text("def test_R10_a():\n    pass\n\n\ndef test_R100_E101_b():\n    pass\n")
    found = conformance.tests_by_number(tmp_path)
    assert {number: [one.name for one in tests] for number, tests in found.items()} == {
        "R10": ["test_R10_a"],
        "R100": ["test_R100_E101_b"],
        "E101": ["test_R100_E101_b"],
    }


def test_every_number_has_a_test() -> None:
    """Rules and edge inputs alike, so that `pytest -k R45_` finds something."""
    tests = conformance.tests_by_number(conformance.ROOT)
    untested = [number for number in (*TABLE, *EDGES) if not tests.get(number)]
    assert untested == []


def test_a_number_selects_its_own_tests_only(request: pytest.FixtureRequest) -> None:
    """`pytest -k R45_` finds whatever holds these letters: among the tests collected now, nothing but R45's."""
    names = [item.nodeid.rpartition("/")[2] for item in request.session.items]
    strangers = [
        (number, name)
        for number in (*TABLE, *EDGES)
        for name in names
        if f"{number}_".lower() in name.lower()
        and not re.search(rf"(?<![a-z0-9]){number}(?![0-9])", name.replace("_", " "), re.IGNORECASE)
    ]
    assert strangers == []


def test_the_conformance_page_is_up_to_date() -> None:
    """Run `python -m router.cisis.conformance` when this fails."""
    assert conformance.main(["--check"]) == 0


def test_the_page_tells_results_from_a_run(tmp_path: Path) -> None:
    """From a JUnit file: passed when all cases did, failed when one didn't, not run when none is there."""
    folder = tmp_path / "tests" / "cisis"
    folder.mkdir(parents=True)
    names = ("test_R01_a", "test_R02_a", "test_R03_a")
    (folder / "test_x.py").write_text("".join(f"def {name}():\n    pass\n" for name in names))
    (tmp_path / "docs").mkdir()
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuite><testcase name="test_R01_a[1]"/><testcase name="test_R01_a[2]"/>'
        '<testcase name="test_R02_a[1]"/><testcase name="test_R02_a[2]"><failure/></testcase></testsuite>'
    )
    assert conformance.main(["--root", str(tmp_path), "--junit", str(junit)]) == 0
    lines = (tmp_path / "docs" / "conformance.md").read_text().splitlines()
    ends = {line[2:5]: line.rpartition("| ")[2] for line in (one.rstrip(" |") for one in lines) if line[2:3] == "R"}
    assert (ends["R01"], ends["R02"], ends["R03"]) == ("passed", "**failed**", "not run")
    assert ends["R04"] == "**not tested**"
