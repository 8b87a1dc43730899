"""Stays: unit, begin and end of each, under pseudonyms; what is cancelled is undone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from router.exchange import Origin
from router.register import Register
from router.register.adt import AdtChange
from router.register.tables import STAY, WORK
from tests.register.register_samples import PSEUDONYMS, StillClock, change, ipp, ipp_name

VISIT = "V-0042"


def move(
    event: str, at: str, unit: str = "URG", *, visit: str = VISIT, who: str = "3", mrg: str | None = None
) -> AdtChange:
    pv1 = ["PV1", "1", "I", f"{unit}^101^1", *[""] * 15, f"{visit}^^^CHU-X&000897406&N^VN" if visit else ""]
    fields: dict[str, str] = {"mrg": mrg} if mrg is not None else {}
    return change(event, ipp(who), extra="|".join(pv1), recorded=at, **fields)


def told(register: Register, *changes: AdtChange, who: str = "3") -> list[tuple[str, str, str]]:
    """What the register says after these changes: unit, begin, end."""
    for number, one in enumerate(changes):
        register.apply(f"e{number}", one, origin=Origin("in.gam", 0, number))
    return [(stay.unit, stay.begin, stay.end) for stay in register.stays(ipp_name(who))]


IN, ON, OUT = move("A01", "20260105"), move("A02", "20260106", "CARDIO"), move("A03", "20260109")
WHOLE = [("URG", "20260105", "20260106"), ("CARDIO", "20260106", "20260109")]


def test_a_visit_is_one_stay_for_each_unit(register: Register) -> None:
    """Admission begins one, a transfer ends it and begins the next, the discharge ends the last."""
    assert told(register, IN, ON, OUT) == WHOLE
    first, second = register.stays(ipp_name("3"))
    assert (first.kind, first.feed, first.patient) == ("I", "gam", ipp_name("3"))
    assert first.visit == second.visit == PSEUDONYMS.of("visit", "000897406", VISIT)
    assert register.stays(ipp_name("4")) == []


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ([IN, move("A11", "20260107")], []),
        ([IN, ON, move("A12", "20260107")], [("URG", "20260105", "")]),
        ([IN, ON, OUT, move("A13", "20260110")], [WHOLE[0], ("CARDIO", "20260106", "")]),
        ([IN, ON, OUT, move("A13", "20260110"), OUT], WHOLE),
        ([IN, move("A12", "20260107")], [("URG", "20260105", "")]),
        ([IN, move("A13", "20260107")], [("URG", "20260105", "")]),
        ([move("A13", "20260107"), move("A11", "20260107")], []),
    ],
)  # fmt: skip
def test_what_is_cancelled_is_undone(
    register: Register, changes: list[AdtChange], left: list[tuple[str, str, str]]
) -> None:
    """A11 undoes the admission, A12 the transfer, A13 the discharge; what was never told is not undone."""
    assert told(register, *changes) == left


def test_what_was_not_told_from_the_beginning_is_kept_as_far_as_it_goes(register: Register) -> None:
    """A feed may begin in the middle of a stay; another visit of the same patient is another stay."""
    later = move("A01", "20260201", "NEPHRO", visit="V-0043")
    assert told(register, OUT, later) == [("URG", "", "20260109"), ("NEPHRO", "20260201", "")]


def test_stays_follow_the_patient(register: Register) -> None:
    """After a merge they are found under the number that stays; a file that is moved takes its stay with it."""
    merge = change("A40", ipp("9"), mrg=ipp("3"), recorded="20260110")
    assert told(register, IN, ON, OUT, merge, who="9") == WHOLE
    moved = move("A44", "20260111", who="7", mrg=ipp("9"))
    register.apply("e9", moved, origin=Origin("in.gam", 0, 9))
    assert [stay.unit for stay in register.stays(ipp_name("7"))] == ["URG", "CARDIO"]
    assert register.stays(ipp_name("9")) == []


def test_stays_are_forgotten_with_the_journal(tmp_path: Path) -> None:
    """Those of which nothing was heard since go; no number of a visit or of a patient is in the database."""
    clock = StillClock()
    register = Register(f"sqlite:///{tmp_path / 'register.db'}", PSEUDONYMS, clock)
    told(register, IN)
    clock.at += 100
    register.apply("x", move("A01", "20260301", visit="V-0044", who="5"))
    assert register.prune_stays(clock.at - 50) == 1
    assert register.stays(ipp_name("3")) == []
    assert len(register.stays(ipp_name("5"))) == 1
    register.close()
    with sqlite3.connect(tmp_path / "register.db") as db:
        dump = "\n".join(db.iterdump())
    assert "register_stay" in dump
    assert "V-0044" not in dump


def test_a_register_of_version_1_gets_the_table(tmp_path: Path) -> None:
    """What it held stays; stays are kept from then on."""
    url = f"sqlite:///{tmp_path / 'register.db'}"
    register = Register(url, PSEUDONYMS)
    told(register, IN)
    register.close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        STAY.drop(connection)
        connection.execute(sa.text("UPDATE schema_versions SET version = 1 WHERE room = 'register'"))
    engine.dispose()
    register = Register(url, PSEUDONYMS, upgrade=True)
    assert register.find(ipp_name("3")) is not None
    assert register.stays(ipp_name("3")) == []
    register.apply("e7", OUT)
    assert [stay.end for stay in register.stays(ipp_name("3"))] == ["20260109"]
    register.close()


def test_a_register_of_version_2_gets_the_owners_of_its_work_list(tmp_path: Path) -> None:
    """Entries of before have none until somebody tells it, and so has what an older process writes beside this one."""
    url = f"sqlite:///{tmp_path / 'register.db'}"
    Register(url, PSEUDONYMS).close()
    row = "'a', 'e', 'A40', 'd', '1.2', 's', 1.0, 2.0, 0.0, '', ''"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP INDEX register_work_open"))
        connection.execute(sa.text("ALTER TABLE register_work DROP COLUMN structure"))
        connection.execute(sa.text("UPDATE schema_versions SET version = 2 WHERE room = 'register'"))
        connection.execute(sa.text(f"INSERT INTO register_work VALUES ('w1', {row})"))  # noqa: S608
    register = Register(url, PSEUDONYMS, upgrade=True)
    names = ", ".join(column.name for column in WORK.c if column.name != "structure")
    with engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO register_work({names}) VALUES ('w2', {row})"))  # noqa: S608
    engine.dispose()
    assert sorted(one.id for one in register.unowned()) == ["w1", "w2"]
    register.own({"w1": "750000018", "w2": ""})
    assert register.unowned() == [] and register.open_work() == 2
    assert [one.id for one in register.work(within=["750000018"])] == ["w1"]
    (first,) = register.work(limit=1)
    assert [one.id for one in register.work(after=first)] == ["w2"]
    register.close()
