"""The register, where two features meet: topics made anew, several merges in one message, numbers that several bear."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.cisis.settings import ProfileRules
from router.contracts import Outgoing, Partition, TopicPlan
from router.exchange import Event, Exchange, Origin
from router.hl7.message import Message
from router.register import Register, read
from router.runtime.pipelines import RegisterPipeline
from tests.register.register_samples import (
    INS_1,
    INS_2,
    StillClock,
    adt,
    change,
    ins,
    ins_name,
    ipp,
    ipp_name,
    zfa,
)
from tests.typed import present


def test_d8_an_adt_topic_made_anew_is_still_heard(register: Register, tmp_path: Path) -> None:
    """`topics migrate in.gam` begins again at offset 0: what a patient says after it counts."""
    bus = SqliteBus(tmp_path / "bus.db")
    bus.create([TopicPlan("in.gam", 1, None, 1 << 20)])
    producer = bus.producer("gateway-0")
    old = producer.publish([Outgoing("in.gam", "k", b"x")] * 50)[-1]
    register.apply("e1", change("A31", ipp("3"), ins(INS_1), zfa=zfa("INO"), recorded="20260105101500"), origin=old)

    consumer = bus.consumer("pipelines", ["in.gam"], member="pipelines-0")
    assert consumer.poll(max_records=100, max_bytes=1 << 20, timeout=5)
    consumer.commit({Partition("in.gam", 0): old.offset + 1})
    consumer.close()
    assert bus.migrate([TopicPlan("in.gam", 2, None, 1 << 20)]) == ["in.gam"]
    keys = (f"k{n}" for n in range(50))
    new = next(
        o
        for o in (bus.producer("gateway-1").publish([Outgoing("in.gam", k, b"x")])[0] for k in keys)
        if not o.partition
    )
    bus.close()

    later = change("A31", ipp("3"), status="PROV", zfa=zfa("IO", at="20260301"), recorded="20260301090000")
    applied = register.apply("e2", later, origin=new)
    found = register.find(ipp_name("3"))
    assert found is not None
    assert (applied.stale, found.qualified, found.opposed) == (False, False, True), (old, new)


def two_pairs(first: str, second: str) -> Message:
    head = (
        "MSH|^~\\&|GAM|CHU-X|DPI|CHU-X|20260105101500||ADT^A40^ADT_A39|3975|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8",
        "EVN||20260105101500",
    )
    return Message.parse("\r".join((*head, first, second, "")).encode())


def pair(stays: str, former: str, status: str) -> str:
    pid = ["PID", "1", "", stays, "", "PAT-TROIS^DOMINIQUE^^^^^L", "", "19790328", "F", *[""] * 22, "N", status]
    return "|".join(pid) + f"\rMRG|{former}"


def test_d2_an_a40_with_two_pairs_says_of_each_patient_what_its_own_pid_says(register: Register) -> None:
    """D2, D8: the second patient is not qualified by the first one's PID-32, nor does the first get his INS."""
    message = two_pairs(
        pair(f"{ipp('A')}~{ins(INS_1)}", ipp("B"), "VALI"), pair(f"{ipp('C')}~{ins(INS_2)}", ipp("D"), "PROV")
    )
    found = read(message)
    assert found.faults == ()
    register.apply("e1", found)
    first, second = register.find(ipp_name("A")), register.find(ipp_name("C"))
    assert first is not None and second is not None
    assert (second.qualified, second.ins) == (False, ins_name(INS_2))
    assert (first.qualified, first.ins) == (True, ins_name(INS_1))


def test_d8_a_chain_of_merges_in_one_a40_is_followed(register: Register) -> None:
    """B into A, then A into C, in one message: all lead to C."""
    register.apply("e1", read(two_pairs(pair(ipp("A"), ipp("B"), "PROV"), pair(ipp("C"), ipp("A"), "PROV"))))
    assert [present(register.find(ipp_name(one))).id for one in "ABC"] == [ipp_name("C")] * 3


def test_d8_an_a47_that_names_the_ins_alone_concerns_the_file_of_its_pid(register: Register) -> None:
    """File 1 bore this INS by mistake; it was withdrawn. Its rightful bearer gets a new one: file 1 does not."""
    register.apply("e1", change("A31", ipp("1"), ins(INS_1)))
    register.apply("e2", change("A47", ipp("1"), mrg=ins(INS_1), status="PROV"))
    register.apply("e3", change("A31", ipp("2"), ins(INS_1)))
    register.apply("e4", change("A47", ipp("2"), ins(INS_2), mrg=ins(INS_1), status="VALI"))
    second, first = register.find(ipp_name("2")), register.find(ipp_name("1"))
    assert second is not None and (second.qualified, second.ins) == (True, ins_name(INS_2))
    assert first is not None and (first.qualified, first.ins) != (True, ins_name(INS_2))
    assert first.qualified is False and first.ins == ""


def test_d8_a_message_by_ins_alone_says_nothing_of_who_lost_that_ins(register: Register) -> None:
    """PID-3 with the INS alone: of two files, the one from which it was withdrawn stays as it is."""
    register.apply("e1", change("A31", ipp("1"), ins(INS_1)))
    register.apply("e2", change("A47", ipp("1"), mrg=f"{ipp('1')}~{ins(INS_1)}", status="PROV"))
    register.apply("e3", change("A31", ipp("2"), ins(INS_1)))
    register.apply("e4", change("A31", ins(INS_1), status="VALI"))
    first = register.find(ipp_name("1"))
    assert first is not None and (first.qualified, first.ins) == (False, "")


def test_d8_what_left_by_another_machine_s_clock_is_work(register: Register, clock: StillClock) -> None:
    """D8: a sink whose clock is a little ahead (or ours stepped back) noted a departure; then the merge comes."""
    register.apply("e1", change("A28", ipp("B"), ins(INS_1)))
    register.note_departure([ipp_name("B")], "d1", "doc", "dmp.chu", clock.now() + 0.5)
    applied = register.apply("e2", change("A40", ipp("A"), ins(INS_1), mrg=ipp("B")))
    assert applied.alert is not None and applied.alert.count == 1
    assert len(register.work()) == 1


def test_d8_a_merge_of_thousands_is_refused() -> None:
    """Each pair costs statements of one transaction: a thousand held the feed, and the lock, for half a minute."""
    pairs = [pair(ipp("A"), ipp(f"B{number}"), "PROV") for number in range(600)]
    assert [(fault.code, fault.location) for fault in read(two_pairs(*pairs[:2])).faults] == []
    found = read(two_pairs(pairs[0], "\r".join(pairs[1:])))
    assert [(fault.code, fault.location) for fault in found.faults] == [("198", "MRG^1^1")]


def test_d8_a_merge_after_departures_alerts_somebody(register: Register) -> None:
    """D8: a work-list *and an alert*; a line in the journal of the ADT event is read by nobody."""
    told: list[str] = []
    rules = ProfileRules(feed="gam")
    services: Any = SimpleNamespace(
        register=register,
        config=SimpleNamespace(feeds={"gam": SimpleNamespace(rules=rules)}),
        alert=lambda what, facts: told.append(what),
    )
    register.apply("e1", change("A28", ipp("B"), ins(INS_1)))
    register.note_departure([ipp_name("B")], "d1", "doc", "dmp.chu", 0.0)
    event = Event("e2", "gam", "k", adt("A40", ipp("A"), ins(INS_1), mrg=ipp("B")), {}, Origin("in.gam", 0, 1))
    exchange = Exchange(event).with_(message=Message.parse(event.body))
    RegisterPipeline(services, "gam").process(exchange)
    assert len(register.work()) == 1
    assert told == ["impact"]
