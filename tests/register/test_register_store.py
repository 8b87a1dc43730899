"""The register: each event once, in order; merges followed; what has left becomes work (D2, D8)."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.errors import OperatorFault
from router.exchange import Origin
from router.register import Register
from tests.register.register_samples import (
    INS_1,
    INS_2,
    PSEUDONYMS,
    StillClock,
    change,
    ins,
    ins_name,
    ipp,
    ipp_name,
    zfa,
)
from tests.typed import present


def at(offset: int, partition: int = 0) -> Origin:
    """A place on the ADT topic."""
    return Origin("in.gam", partition, offset)


def test_d8_a_patient_is_found_by_ipp_and_by_ins(register: Register) -> None:
    """D8: both identifiers lead to the same patient, with INS status and opposition."""
    register.apply("e1", change("A01", ipp("3"), ins(INS_1), zfa=zfa("IO", consent="IC")))
    by_ipp, by_ins = register.find(ipp_name("3")), register.find(ins_name(INS_1))
    assert by_ipp is not None and by_ipp == by_ins
    assert (by_ipp.qualified, by_ipp.ins, by_ipp.status) == (True, ins_name(INS_1), ("VALI",))
    assert (by_ipp.opposed, by_ipp.consent, by_ipp.dmp, by_ipp.last_event) == (True, "IC", "ACTIF", "A01")
    assert register.find(ipp_name("4")) is None
    assert register.find_all([]) == {}


def test_no_identity_is_stored_in_clear(register: Register, tmp_path: Path) -> None:
    """Identities stand in the database as pseudonyms only."""
    register.apply("e1", change("A40", ipp("IPP-A"), ins(INS_1), mrg=f"{ipp('IPP-B')}~{ins(INS_2)}", zfa=zfa("IO")))
    register.close()
    with sqlite3.connect(tmp_path / "register.db") as db:
        dump = "\n".join(db.iterdump())
    assert "register_alias" in dump
    assert not any(identity in dump for identity in (INS_1, INS_2, "IPP-A", "IPP-B", "PAT-TROIS"))


def test_d8_the_same_event_twice_does_nothing(register: Register) -> None:
    """D8: an event id is applied once."""
    assert register.apply("e1", change("A31", ipp("3"), status="PROV")).new
    register.apply("e2", change("A31", ipp("3"), ins(INS_1), status="VALI"))
    assert not register.apply("e1", change("A31", ipp("3"), status="PROV")).new
    found = register.find(ipp_name("3"))
    assert found is not None and found.qualified


def test_d8_an_older_event_of_the_partition_overwrites_nothing(register: Register) -> None:
    """D8: origins order the events of one partition."""
    register.apply("e2", change("A31", ipp("3"), ins(INS_1), zfa=zfa("IO")), origin=at(8))
    applied = register.apply("e1", change("A31", ipp("3"), status="PROV", zfa=zfa("INO")), origin=at(7))
    assert (applied.new, applied.stale) == (True, True)
    found = register.find(ipp_name("3"))
    assert found is not None and found.qualified and found.opposed


def test_d8_between_partitions_the_event_date_decides(register: Register) -> None:
    """D8: a merged patient's events may come from two partitions; EVN-2 orders them."""
    register.apply("e1", change("A31", ipp("3"), zfa=zfa("IO"), recorded="20260105101500"), origin=at(8))
    older = change("A31", ipp("3"), zfa=zfa("INO"), recorded="202601051014")
    assert register.apply("e2", older, origin=at(99, partition=1)).stale
    newer = change("A31", ipp("3"), zfa=zfa("INO"), recorded="20260105101501")
    assert not register.apply("e3", newer, origin=at(1, partition=1)).stale
    found = register.find(ipp_name("3"))
    assert found is not None and not found.opposed


def test_d2_a_downgrade_is_seen_and_keeps_the_ins_known(register: Register) -> None:
    """D2: PROV after VALI: no longer qualified, whichever identifier is asked for."""
    register.apply("e1", change("A31", ipp("3"), ins(INS_1)))
    register.apply("e2", change("A31", ipp("3"), status="PROV"))
    for name in (ipp_name("3"), ins_name(INS_1)):
        found = register.find(name)
        assert found is not None and found.qualified is False


def test_d2_what_a_message_does_not_say_stays(register: Register, clock: StillClock) -> None:
    """D2: a discharge without INS, PID-32 or ZFA changes nothing of what is known."""
    register.apply("e1", change("A01", ipp("3"), ins(INS_1), zfa=zfa("IO")))
    clock.at += 60
    register.apply("e2", change("A03", ipp("3"), status="", fictitious=""))
    register.apply("e3", change("A03", ipp("3")))
    found = register.find(ipp_name("3"))
    assert found is not None and found.qualified and found.opposed
    assert found.since == clock.at - 60 and found.updated == clock.at


def test_d8_not_asked_does_not_undo_an_opposition(register: Register) -> None:
    """D8: ZFA-9 = NA after IO: the opposition stands until INO."""
    register.apply("e1", change("A01", ipp("3"), zfa=zfa("IO")))
    register.apply("e2", change("A14", ipp("3"), zfa=zfa("NA")))
    found = register.find(ipp_name("3"))
    assert found is not None and found.opposed
    register.apply("e3", change("Z99", ipp("3"), zfa=zfa("INO")))
    found = register.find(ipp_name("3"))
    assert found is not None and not found.opposed


def test_d8_an_a40_leads_the_former_ipp_to_the_one_that_stays(register: Register) -> None:
    """D8: after a merge both IPPs answer with the surviving patient; chains are followed."""
    register.apply("e1", change("A28", ipp("A"), ins(INS_1)))
    register.apply("e2", change("A28", ipp("B"), status="PROV"))
    register.apply("e3", change("A40", ipp("A"), ins(INS_1), mrg=ipp("B")))
    register.apply("e4", change("A40", ipp("Z"), ins(INS_1), mrg=ipp("A")))
    survivors = {present(register.find(ipp_name(one))).id for one in "ABZ"}
    assert survivors == {ipp_name("Z")}
    former = register.find(ipp_name("B"))
    assert former is not None and former.merged and former.qualified


def test_d8_an_opposition_survives_a_merge(register: Register) -> None:
    """D8: what the patient said under the former number still holds, unless he said otherwise later."""
    register.apply("e1", change("A28", ipp("B"), zfa=zfa("IO", at="20260101")))
    register.apply("e2", change("A28", ipp("A")))
    register.apply("e3", change("A40", ipp("A"), mrg=ipp("B")))
    found = register.find(ipp_name("A"))
    assert found is not None and found.opposed
    register.apply("e4", change("A28", ipp("C"), zfa=zfa("INO", at="20260201")))
    register.apply("e5", change("A40", ipp("C"), mrg=ipp("A")))
    found = register.find(ipp_name("C"))
    assert found is not None and not found.opposed


def test_d8_a_merge_and_its_reverse_make_no_loop(register: Register) -> None:
    """D8: a wrong merge that is merged back leaves a register that answers."""
    register.apply("e1", change("A40", ipp("A"), mrg=ipp("B")))
    register.apply("e2", change("A40", ipp("B"), mrg=ipp("A")))
    assert register.find(ipp_name("A")) is not None
    assert register.find(ipp_name("B")) is not None


def test_d8_an_a47_with_an_empty_pid_3_withdraws_the_ins(register: Register) -> None:
    """D8: the patient keeps his file and loses his INS; the withdrawn INS says so."""
    register.apply("e1", change("A31", ipp("3"), ins(INS_1)))
    register.apply("e2", change("A47", mrg=ins(INS_1)))
    by_ipp, by_ins = register.find(ipp_name("3")), register.find(ins_name(INS_1))
    assert by_ipp is not None and (by_ipp.qualified, by_ipp.ins, by_ipp.retired) == (False, "", False)
    assert by_ins is not None and by_ins.retired


def test_d8_an_ins_can_be_withdrawn_that_nobody_had_named(register: Register) -> None:
    """D8: a withdrawal that comes first is not lost."""
    register.apply("e1", change("A47", mrg=ins(INS_1)))
    found = register.find(ins_name(INS_1))
    assert found is not None and found.retired and found.qualified is False


def test_d8_an_a47_replaces_an_ins_and_an_ipp(register: Register) -> None:
    """D8: the new identifiers name the same patient, the former ones are retired."""
    register.apply("e1", change("A31", ipp("3"), ins(INS_1)))
    register.apply("e2", change("A47", ipp("3"), ins(INS_2), mrg=ins(INS_1)))
    register.apply("e3", change("A47", ipp("4"), ins(INS_2), mrg=ipp("3")))
    found = register.find(ipp_name("4"))
    assert found is not None and (found.qualified, found.ins) == (True, ins_name(INS_2))
    former = register.find(ipp_name("3"))
    assert former is not None and former.retired and former.id == found.id


def test_d8_a_withdrawn_ins_can_come_back(register: Register) -> None:
    """D8: an INS that is qualified again names its patient again."""
    register.apply("e1", change("A31", ipp("3"), ins(INS_1)))
    register.apply("e2", change("A47", ipp("3"), mrg=ins(INS_1)))
    register.apply("e3", change("A31", ipp("3"), ins(INS_1)))
    found = register.find(ins_name(INS_1))
    assert found is not None and found.qualified and not found.retired


def depart(register: Register, document: str, *names: str, when: float = 999_000.0) -> None:
    """A document left under these identities, without surprise."""
    assert register.note_departure(names, f"d-{document}", document, "dmp.chu", when) is None


@pytest.mark.parametrize(
    ("event", "ids", "mrg"),
    [
        ("A40", (ipp("A"),), ipp("B")),
        ("A44", (ipp("A"),), ipp("B")),
        ("A47", (), ins(INS_1)),
        ("A47", (ipp("B"), ins(INS_2)), ins(INS_1)),
    ],
)
def test_d8_documents_sent_under_a_changed_identity_become_work(
    register: Register, event: str, ids: tuple[str, ...], mrg: str
) -> None:
    """D8: A40, A44 and A47 on a patient whose documents have left open a work-list and return an alert."""
    register.apply("e1", change("A28", ipp("A")))
    register.apply("e2", change("A31", ipp("B"), ins(INS_1)))
    depart(register, "1.2.3", ipp_name("B"), ins_name(INS_1))
    depart(register, "1.2.4", ipp_name("B"), ins_name(INS_1))
    depart(register, "9.9.9", ipp_name("A"))
    applied = register.apply("e3", change(event, *ids, mrg=mrg))
    assert applied.alert is not None
    assert (applied.alert.kind, applied.alert.count) == (event, 2)
    entries = register.impact(ipp_name("B"))
    assert [(entry.document, entry.kind, entry.event_id) for entry in entries] == [
        ("1.2.3", event, "e3"),
        ("1.2.4", event, "e3"),
    ]
    assert [entry.document for entry in register.work()] == ["1.2.3", "1.2.4"]


def test_d8_a_merge_before_anything_left_alerts_nobody(register: Register) -> None:
    """D8: without departures there is no work, and the other patient's documents are not listed."""
    register.apply("e1", change("A28", ipp("A"), ins(INS_1)))
    depart(register, "9.9.9", ipp_name("A"), ins_name(INS_1))
    assert register.apply("e2", change("A40", ipp("A"), ins(INS_1), mrg=f"{ipp('B')}~{ins(INS_1)}")).alert is None
    assert register.impact(ipp_name("A")) == []


def test_d8_a_silent_change_of_ins_is_work_too(register: Register) -> None:
    """D8: an update with another INS is a change of identity, even without A47."""
    register.apply("e1", change("A31", ipp("3"), ins(INS_1)))
    depart(register, "1.2.3", ins_name(INS_1))
    applied = register.apply("e2", change("A31", ipp("3"), ins(INS_2)))
    assert applied.alert is not None and applied.alert.count == 1


def test_d8_what_leaves_after_the_change_is_work_at_once(register: Register) -> None:
    """D8: a document in flight during the merge does not escape the work-list."""
    register.apply("e1", change("A40", ipp("A"), mrg=ipp("B")))
    alert = register.note_departure([ipp_name("B")], "d1", "1.2.3", "mssante.chu", 1_000_001.0)
    assert alert is not None and alert.count == 1
    assert [entry.sink for entry in register.impact(ipp_name("A"))] == ["mssante.chu"]
    assert register.note_departure([ipp_name("B")], "d1", "1.2.3", "mssante.chu", 1_000_001.0) is None
    assert len(register.impact(ipp_name("A"))) == 1


def test_d8_an_entry_is_settled_once_with_who_and_what(register: Register, clock: StillClock) -> None:
    """D8: somebody closes an entry; it stays readable."""
    register.apply("e1", change("A28", ipp("B")))
    depart(register, "1.2.3", ipp_name("B"))
    register.apply("e2", change("A40", ipp("A"), mrg=ipp("B")))
    [entry] = register.impact(ipp_name("A"))
    clock.at += 5
    assert register.settle([entry.id], by="c.martin", outcome="supprimé du DMP") == 1
    assert register.settle([entry.id], by="x", outcome="y") == 0
    assert register.impact(ipp_name("A")) == []
    [closed] = register.impact(ipp_name("A"), closed=True)
    assert (closed.closed_by, closed.outcome, closed.closed) == ("c.martin", "supprimé du DMP", clock.at)


STORY = [
    ("A28", (ipp("A"), ins(INS_1)), {"zfa": zfa("IO")}),
    ("A28", (ipp("B"),), {"status": "PROV"}),
    ("A31", (ipp("B"), ins(INS_2)), {}),
    ("A40", (ipp("A"), ins(INS_1)), {"mrg": ipp("B")}),
    ("A47", (ipp("A"),), {"mrg": ins(INS_1)}),
    ("A31", (ipp("A"), ins(INS_2)), {"zfa": zfa("INO")}),
    ("A44", (ipp("A"),), {"mrg": ipp("C")}),
]


def play(register: Register, order: list[int]) -> None:
    """Apply the story's events in this order."""
    for n in order:
        event, ids, fields = STORY[n]
        register.apply(f"e{n}", change(event, *ids, **fields), origin=at(n), at=1000.0 + n)


def picture(register: Register) -> object:
    """Everything that the register answers."""
    return register.find_all([ipp_name("A"), ipp_name("B"), ipp_name("C"), ins_name(INS_1), ins_name(INS_2)])


def test_d8_replaying_the_topic_rebuilds_the_register(register: Register) -> None:
    """D8: cleared and replayed from zero, it answers the same and keeps departures and work."""
    depart(register, "1.2.3", ipp_name("B"), when=1002.5)
    play(register, list(range(len(STORY))))
    before, work = picture(register), register.work()
    assert len(work) == 1
    register.settle([work[0].id], by="x", outcome="vu")
    register.clear()
    assert picture(register) == {}
    play(register, list(range(len(STORY))))
    assert picture(register) == before
    assert register.work() == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(repeats=st.lists(st.integers(0, len(STORY) - 1), max_size=12))
def test_d8_repeats_of_old_events_change_nothing(tmp_path_factory: pytest.TempPathFactory, repeats: list[int]) -> None:
    """D8: whatever is delivered again after the story, the answers stay."""
    register = Register(f"sqlite:///{tmp_path_factory.mktemp('r') / 'r.db'}", PSEUDONYMS, StillClock())
    play(register, list(range(len(STORY))))
    before = picture(register)
    play(register, repeats)
    assert picture(register) == before
    register.close()


def test_two_writers_on_one_patient_lose_nothing(register: Register, tmp_path: Path) -> None:
    """Two processes apply events of one patient at once: each event counts once."""
    other = Register(f"sqlite:///{tmp_path / 'register.db'}", PSEUDONYMS, StillClock())
    failures: list[BaseException] = []

    def work(target: Register, first: int) -> None:
        try:
            for n in range(first, 40, 2):
                target.apply(f"e{n}", change("A31", ipp("3"), ipp(f"X{n}")))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(target, n)) for n, target in enumerate((register, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert failures == []
    found = register.find_all([ipp_name(f"X{n}") for n in range(40)])
    assert len(found) == 40 and len({patient.id for patient in found.values()}) == 1


def test_a_database_that_can_not_be_is_the_operators(tmp_path: Path) -> None:
    """No foreign exception leaves the register, and none of its texts."""
    with pytest.raises(OperatorFault) as caught:
        Register(f"sqlite:///{tmp_path / 'nowhere' / 'register.db'}", PSEUDONYMS, StillClock())
    assert caught.value.code == "REGISTER-CANTOPEN" and "nowhere" not in str(caught.value)
