"""What every ledger promises (`contracts.Ledger`): one suite for each database.

A subclass gives the fixtures `ledger` (open, empty) and `again` (opens the same one once more).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from router.contracts import (
    DISCARDED,
    Beyond,
    Claim,
    DeadWanted,
    Fence,
    Ledger,
    Partition,
    Record,
    Row,
    Standing,
    cause,
)
from router.errors import Fenced
from router.exchange import Delivery, Origin, State

AT = Origin("in.sil", 3, 17)
SINK = "mssante.chu"
EVERY = DeadWanted()


def row(name: str, sequence: int = 0, *, sink: str = "mssante.chu", partition: int = 0, **changes: Any) -> Row:
    delivery = Delivery(
        id=name,
        event_id="event-" + name,
        sink=sink,
        destination="mss:1",
        key="k",
        lane="k|mss:1",
        payload=b"",
        origin=AT,
        feed="sil",
        pipeline="biologie",
        digest="d1",
        lineage="l-1",
        document="doc",
        replaces="old",
        action="replace",
        strict=True,
        replay=2,
        created=1_700_000_000.125,
        label="adam.hoda@test-ci-sis.mssante.fr",
    )
    found = Row(delivery=delivery, partition=partition, sequence=sequence, bytes_at=Origin("out.x", 1, 2**33))
    return replace(found, **changes)


class LedgerContract:
    """Every promise of the protocol, one test each."""

    def test_the_first_origin_owns_an_id(self, ledger: Ledger) -> None:
        """A claim from another origin learns who was first; the same origin learns that it was itself."""
        other = Origin("in.sil", 5, 1)
        assert ledger.claim([Claim("e1", AT, b"ack1", 1.0)]) == [AT]
        assert ledger.claim([Claim("e2", other, b"ack2", 2.0), Claim("e1", other, b"late", 2.0)]) == [other, AT]
        assert ledger.claim([Claim("e1", AT, b"ack1", 3.0)]) == [AT]
        assert ledger.acks(["e1", "e2", "e3"]) == {"e1": b"ack1", "e2": b"ack2"}

    def test_one_batch_may_hold_an_id_twice(self, ledger: Ledger) -> None:
        """The first of the batch wins, and both get its answer."""
        later = Origin("in.sil", 3, 18)
        assert ledger.claim([Claim("e", AT, b"1"), Claim("e", later, b"2")]) == [AT, AT]
        assert ledger.acks(["e"]) == {"e": b"1"}

    def test_how_far_the_bus_was_seen_stands_beside_what_was_seen(self, ledger: Ledger) -> None:
        """Rows that are opened, claims and notes raise a mark; nothing lowers it, and a known row counts too."""
        ledger.open([row("d1", 4), row("d2", 9), row("d3", 2, partition=1)])
        ledger.open([row("d1", 11)])
        ledger.claim([Claim("e1", AT, b"")], {Partition("in.sil", 3): 18})
        ledger.claim([], {Partition("in.sil", 3): 15, Partition("in.sil", 4): 1})
        ledger.saw({Partition(f"out.{SINK}", 1): 7, Partition(f"out.{SINK}", 0): 3})
        assert ledger.seen(f"out.{SINK}") == {0: 12, 1: 7}
        assert ledger.seen("in.sil") == {3: 18, 4: 1}
        assert ledger.seen("in.ris") == {}
        ledger.remade([f"out.{SINK}"])
        assert ledger.seen(f"out.{SINK}") == {} and ledger.seen("in.sil") == {3: 18, 4: 1}

    def test_topics_are_remembered_by_their_identity(self, ledger: Ledger) -> None:
        """The last identity that was told; none for a topic that was made anew on purpose."""
        assert ledger.topics() == {}
        ledger.remember({"in.sil": "one", "out.x": "two"})
        ledger.remember({"in.sil": "three"})
        assert ledger.topics() == {"in.sil": "three", "out.x": "two"}
        ledger.remade(["out.x", "in.nowhere"])
        assert ledger.topics() == {"in.sil": "three"}

    def test_a_bus_that_holds_less_takes_events_anew_and_keeps_the_order(self, ledger: Ledger) -> None:
        """Claims beyond its ends go, rows stay and come before what follows, and the marks go back."""
        kept, lost = Origin("in.sil", 3, 4), Origin("in.sil", 3, 5)
        ledger.claim([Claim("e1", kept, b"1"), Claim("e2", lost, b"2")], {Partition("in.sil", 3): 9})
        ledger.claim([Claim("e3", Origin("in.sil", 4, 7), b"3")], {Partition("in.sil", 4): 8})
        ledger.open([row("d1", 6), row("d2", 8), row("d3", 3, partition=1)])
        gone = ledger.regress({Partition("in.sil", 3): 5, Partition(f"out.{SINK}", 0): 2})
        assert list(gone) == [("e2", lost)]
        assert set(ledger.acks(["e1", "e2", "e3"])) == {"e1", "e3"}
        assert ledger.seen("in.sil") == {3: 5, 4: 8}
        assert ledger.seen(f"out.{SINK}") == {0: 2, 1: 4}
        ledger.open([row("d4", 2)])
        assert [one.delivery.id for one in ledger.unfinished(SINK, [0, 1])] == ["d1", "d2", "d4", "d3"]
        assert ledger.get(["d3"]) == {"d3": row("d3", 3, partition=1)}
        later = Origin("in.sil", 3, 6)
        assert ledger.claim([Claim("e2", later, b"again")]) == [later]

    def test_a_write_that_is_refused_has_seen_nothing(self, ledger: Ledger) -> None:
        """Who lost a partition does not say how far it was seen."""
        ledger.take(SINK, [0])
        with pytest.raises(Fenced):
            ledger.open([row("d1", 4)], {(SINK, 0): 7})
        assert ledger.seen(f"out.{SINK}") == {}

    def test_empty_batches_do_nothing(self, ledger: Ledger) -> None:
        """Every call takes an empty list."""
        assert list(ledger.claim([])) == []
        assert ledger.acks([]) == {}
        assert ledger.open([]) == {}
        ledger.save([])
        assert ledger.get([]) == {}
        assert list(ledger.unfinished("mssante.chu", [])) == []

    def test_a_row_comes_back_as_it_was_opened(self, ledger: Ledger) -> None:
        """Every field of the delivery but its payload, and every field of the row."""
        full = row(
            "d1",
            2**40,
            partition=7,
            state=State.WAITING,
            attempts=3,
            first_try=1.5,
            next_try=2.5,
            code="MSS-452",
            text="boîte pleine",
            evidence={"message_id": "<é@x>", "smtp": "452 4.2.2"},
            updated=9.25,
            waited=12.5,
            outages=2,
            outcome_unknown=True,
            last_try=8.125,
            commands=("out.x/0/1@1.000", "out.x/0/2@2.000"),
        )
        assert ledger.open([full]) == {}
        assert ledger.get(["d1"]) == {"d1": full}

    def test_an_id_is_opened_once(self, ledger: Ledger) -> None:
        """Opening again returns the row that is there, in its present state, and changes nothing."""
        ledger.open([row("d1", 1), row("d2", 2)])
        done = row("d1", 1, state=State.DONE, code="250", updated=5.0)
        ledger.save([done])
        known = ledger.open([row("d1", 99), row("d3", 3)])
        assert known == {"d1": done}
        assert set(ledger.get(["d1", "d2", "d3", "d4"])) == {"d1", "d2", "d3"}
        assert ledger.get(["d1"])["d1"] == done

    def test_save_writes_what_changes(self, ledger: Ledger) -> None:
        """State, attempts, times, code, text, evidence, place of the bytes; a row that isn't there is passed over."""
        ledger.open([row("d1", 1), row("d2", 2)])
        held = row(
            "d1",
            1,
            state=State.PARKED,
            attempts=4,
            next_try=7.0,
            code="predecessor",
            text="derrière un message en échec",
            evidence={"a": "b"},
            bytes_at=Origin("held.mssante.chu", 0, 4),
            updated=8.0,
        )
        ledger.save([held, row("nowhere", 5)])
        assert ledger.get(["d1", "d2", "nowhere"]) == {"d1": held, "d2": row("d2", 2)}

    def test_of_one_batch_the_first_row_is_opened_and_the_last_one_saved(self, ledger: Ledger) -> None:
        """A batch may hold an id twice."""
        assert ledger.open([row("d1", 1), row("d1", 2)]) == {}
        assert ledger.get(["d1"]) == {"d1": row("d1", 1)}
        done = row("d1", 1, state=State.DONE, attempts=2)
        ledger.save([row("d1", 1, state=State.BEGUN, attempts=1), done])
        assert ledger.get(["d1"]) == {"d1": done}

    def test_unfinished_rows_come_in_lane_order(self, ledger: Ledger) -> None:
        """Only this sink's, only these partitions, only states that are not final; by partition and sequence."""
        states = {"a": State.READY, "b": State.BEGUN, "c": State.WAITING, "d": State.PARKED, "e": State.UNKNOWN}
        final = {"f": State.DONE, "g": State.SUPERSEDED, "h": State.DEAD}
        rows = [row(name, 100 - index, state=state) for index, (name, state) in enumerate((states | final).items())]
        rows += [row("p1", 1, partition=1), row("p2", 1, partition=2), row("o", 1, sink="dmp.chu")]
        ledger.open(rows)
        found = [(r.partition, r.delivery.id) for r in ledger.unfinished("mssante.chu", {0, 2})]
        assert found == [(0, "e"), (0, "d"), (0, "c"), (0, "b"), (0, "a"), (2, "p2")]

    def test_what_is_unfinished_is_counted(self, ledger: Ledger) -> None:
        """By sink, state and code, with the time at which the oldest was decided; what has ended is not counted."""
        assert ledger.standing() == []
        old = replace(row("d1").delivery, created=5.0)
        ledger.open([row("d1", 1), replace(row("d2", 2), delivery=replace(old, id="d2")), row("d3", 3), row("d4", 4)])
        ledger.open([row("d5", 5, sink="dmp.chu"), row("d6", 6, state=State.DONE), row("d7", 7, state=State.DEAD)])
        ledger.save([row("d3", 3, state=State.WAITING, code="MSS-452"), row("d4", 4, state=State.DONE, code="MSS-1")])
        assert list(ledger.standing()) == [
            Standing("dmp.chu", State.READY, "", 1, 1_700_000_000.125),
            Standing(SINK, State.READY, "", 2, 5.0),
            Standing(SINK, State.WAITING, "MSS-452", 1, 1_700_000_000.125),
        ]
        ledger.open([replace(one := row("d8", 8), delivery=replace(one.delivery, structure="750100125"))])
        ready = [one for one in ledger.standing() if (one.sink, one.state) == (SINK, State.READY)]
        assert [(one.structure, one.count) for one in ready] == [("", 2), ("750100125", 1)]

    def test_a_lineage_is_complete_and_in_order(self, ledger: Ledger) -> None:
        """Every version of a document in this sink, final ones included; an empty lineage is nobody's."""
        ledger.open(
            [row("d2", 2), row("d1", 1, state=State.DONE), row("x", 1, sink="dmp.chu")]
            + [replace(r, delivery=replace(r.delivery, lineage="")) for r in [row("y", 9)]]
        )
        assert [r.delivery.id for r in ledger.lineage("mssante.chu", "l-1")] == ["d1", "d2"]
        assert list(ledger.lineage("mssante.chu", "")) == []

    def test_deletions_and_replacements_are_found_by_what_they_overtake(self, ledger: Ledger) -> None:
        """By the document's lineage or as what replaces it; first versions and other sinks are left out."""

        def version(name: str, action: str, lineage: str, replaces: str = "", sink: str = SINK) -> Row:
            opened = row(name, sink=sink)
            delivery = replace(opened.delivery, action=action, lineage=lineage, replaces=replaces)
            return replace(opened, delivery=delivery)

        rows = [
            version("d1", "delete", "l-1"),
            version("d2", "delete", "l-2", "l-1"),
            version("d3", "delete", "l-3", "l-1", sink="dmp.chu"),
            version("d4", "delete", "l-4"),
            version("d5", "initial", "l-1"),
            version("d6", "replace", "l-6", "l-1"),
            version("d7", "delete", "", ""),
        ]
        ledger.open(rows)
        assert {r.delivery.id for r in ledger.overtakers(SINK, ["l-1"])} == {"d1", "d2", "d6"}
        assert {r.delivery.id for r in ledger.overtakers(SINK, ["l-1", "l-4"])} == {"d1", "d2", "d4", "d6"}
        assert next(r for r in ledger.overtakers(SINK, ["l-4"])) == rows[3]
        assert list(ledger.overtakers(SINK, [])) == []

    def test_dead_rows_of_one_sink_or_of_all(self, ledger: Ledger) -> None:
        """Dead letters are found again, oldest first."""
        ledger.open(
            [
                row("d1", 1, state=State.DEAD, updated=2.0),
                row("d2", 2, state=State.DEAD, updated=1.0, sink="dmp.chu"),
                row("d3", 3, state=State.DONE),
            ]
        )
        assert [r.delivery.id for r in ledger.dead()] == ["d2", "d1"]
        assert [r.delivery.id for r in ledger.dead("dmp.chu")] == ["d2"]
        loose = row("d4", 4, state=State.DEAD, updated=3.0)
        ledger.open([replace(loose, delivery=replace(loose.delivery, strict=False))])
        assert [r.delivery.id for r in ledger.dead()] == ["d2", "d1", "d4"]
        assert [r.delivery.id for r in ledger.dead(strict=True)] == ["d2", "d1"]

    def test_dead_rows_are_counted_by_what_they_share(self, ledger: Ledger) -> None:
        """Sink, code, cause and place; first and last attempt; one row's id stands for the others."""
        told = {"place": "RCPT", "cause": "c1"}
        dead: dict[str, Any] = {"state": State.DEAD, "code": "MSS-552", "evidence": told}
        ledger.open(
            [
                row("d1", 1, updated=9.0, first_try=2.0, last_try=8.0, **dead),
                row("d2", 2, updated=5.0, **dead),
                row("d3", 3, updated=7.0, sink="dmp.chu", state=State.DEAD, code="PFI-R39"),
                row("d4", 4, state=State.DONE, code="MSS-552"),
            ]
        )

        def counted(since: float = 0.0, **equal: str) -> list[tuple[Any, ...]]:
            joined: dict[tuple[str, ...], list[Any]] = {}
            for one in ledger.dead_groups(DeadWanted(equal=equal, since=since)):
                joined.setdefault((one.sink, one.code, one.cause), []).append(one)
            return sorted(
                (*key, sum(o.count for o in some), min(o.first for o in some), max(o.last for o in some))
                for key, some in joined.items()
            )

        letters, refused = (
            ("mssante.chu", "MSS-552", "c1", 2, 2.0, 8.0),
            ("dmp.chu", "PFI-R39", cause("sink", "dmp.chu", "PFI-R39", ""), 1, 7.0, 7.0),
        )
        assert counted() == [refused, letters]
        assert counted(sink="dmp.chu") == counted(code="PFI-R39") == counted(cause=refused[2]) == [refused]
        assert counted(cause="c1") == [letters]
        assert counted(since=7.5) == [(*letters[:3], 1, 2.0, 8.0)]
        assert counted(feed="' OR 1=1 --") == []
        assert {one.sample for one in ledger.dead_groups(DeadWanted(equal={"code": "MSS-552"}))} <= {"d1", "d2"}

    def test_dead_rows_come_in_pages(self, ledger: Ledger) -> None:
        """By the last attempt and then by id, either way, from any place on; so many as were asked for."""
        told: dict[str, Any] = {"state": State.DEAD, "code": "MSS-552", "evidence": {"cause": "c1"}}
        times = {"d1": 5.0, "d2": 7.0, "d3": 7.0, "d4": 7.0, "d5": 9.0}
        ledger.open([row(name, n, updated=at, **told) for n, (name, at) in enumerate(times.items())])
        ledger.open([row("other", 9, state=State.DEAD, code="MSS-553", updated=8.0, evidence={"cause": "c2"})])
        ledger.open([row("left", 10, state=State.DONE, code="MSS-552", updated=8.0, evidence={"cause": "c1"})])
        wanted = DeadWanted(equal={"cause": "c1"})

        def seen(limit: int | None, wanted: DeadWanted = wanted, **asked: Any) -> list[str]:
            return [r.delivery.id for r in ledger.dead_page(wanted, limit, **asked)]

        assert seen(2) == ["d5", "d4"]
        assert seen(2, beyond=Beyond(7.0, "d4")) == ["d3", "d2"]
        assert seen(9, beyond=Beyond(7.0, True)) == ["d4", "d3", "d2", "d1"]
        assert seen(9, beyond=Beyond(7.0, False)) == ["d1"]
        assert seen(3, newest=False) == ["d1", "d2", "d3"]
        assert seen(9, newest=False, beyond=Beyond(7.0, "d3")) == ["d4", "d5"]
        assert seen(9, newest=False, beyond=Beyond(7.0, False)) == ["d5"]
        assert seen(None, DeadWanted()) == ["d5", "other", "d4", "d3", "d2", "d1"]
        assert seen(9, DeadWanted(since=7.0, until=9.0, events=["event-d2", "event-d5", "event-x"])) == ["d2"]
        assert seen(9, DeadWanted(events=[])) == []

    def test_a_dead_row_that_changes_is_counted_under_its_new_cause(self, ledger: Ledger) -> None:
        """Revived it is counted nowhere; dead again, under what ended it this time."""
        dead = row("d1", 1, state=State.DEAD, code="A", evidence={"cause": "c1", "place": "P"}, updated=1.0)
        ledger.open([dead])
        ledger.save([replace(dead, state=State.READY, evidence={}, updated=2.0)])
        assert list(ledger.dead_groups(DeadWanted())) == []
        ledger.save([replace(dead, code="B", evidence={"cause": "c2"}, updated=3.0)])
        assert [(one.cause, one.code, one.count) for one in ledger.dead_groups(DeadWanted())] == [("c2", "B", 1)]

    def test_rows_that_are_held(self, ledger: Ledger) -> None:
        """Parked for this reason, in this sink; nothing else."""
        ledger.open(
            [
                row("h1", 1, state=State.PARKED, code="UNKNOWN-HELD"),
                row("h2", 2, state=State.PARKED, code="LANE"),
                row("h3", 3, state=State.DEAD, code="UNKNOWN-HELD"),
                row("h4", 4, state=State.PARKED, code="UNKNOWN-HELD", sink="dmp.chu"),
            ]
        )
        assert [r.delivery.id for r in ledger.held(SINK, "UNKNOWN-HELD")] == ["h1"]

    def test_dead_rows_of_the_structures_that_one_may_see(self, ledger: Ledger) -> None:
        """Listed and counted: those of these structures; those of none are for who sees all."""
        owners = {"d1": "750000018", "d2": "340000017", "d3": ""}
        dead = [row(name, n, state=State.DEAD, code="MSS-552") for n, name in enumerate(owners)]
        ledger.open([replace(r, delivery=replace(r.delivery, structure=owners[r.delivery.id])) for r in dead])

        def seen(*within: str) -> tuple[list[str], int]:
            groups = ledger.dead_groups(DeadWanted(equal={"code": "MSS-552"}, within=within))
            return [r.delivery.id for r in ledger.dead(within=within)], sum(one.count for one in groups)

        assert seen("750000018") == (["d1"], 1)
        assert seen("750000018", "340000017", "999999999") == (["d1", "d2"], 2)
        assert seen() == ([], 0)
        assert [r.delivery.structure for r in ledger.dead()] == ["750000018", "340000017", ""]
        assert sum(one.count for one in ledger.dead_groups(DeadWanted())) == 3
        assert set(ledger.dead_owners(DeadWanted())) == {*owners.values()}
        assert set(ledger.dead_owners(DeadWanted(within=["750000018"]))) == {"750000018"}

    def test_dead_letters_without_a_row_are_kept_by_topic(self, ledger: Ledger) -> None:
        """Listed by time, counted by what they share, for one's structures; resolved ones and other topics are out."""
        topic = "dlq.intake"
        facts = {"code": "R45", "place": "PID-32", "cause": "c1", "feed": "sil", "text": "l'accent é\0"}
        more: list[dict[str, str]] = [{}, {"structure": "750000018"}, {"code": "R80"}, {"structure": "750000018"}]
        times = [{"id": f"e{n}", "first": "1.5", "last": f"{n + 2}.5"} for n in range(4)]
        letters = [Record(topic, n % 2, n, f"k{n}", b"", facts | times[n] | more[n], float(n)) for n in range(4)]
        ends = {Partition(topic, 0): 3, Partition(topic, 1): 4}
        assert ledger.letters_seen(topic, "t1") == {}
        ledger.note_letters(topic, "t1", letters[:3], (), {})
        ledger.note_letters(topic, "t1", letters, [Origin(topic, 1, 3)], ends)
        ledger.note_letters("dlq.pipeline", "t9", letters[:1], (), {})
        assert ledger.letters_seen(topic, "t1") == ends
        assert [one.headers["id"] for one in ledger.letters(topic)] == ["e0", "e1", "e2"]
        assert [(one.key, one.origin) for one in ledger.letters(topic, ["750000018"])] == [("k1", Origin(topic, 1, 1))]
        assert list(ledger.letters(topic, [])) == []

        def counted(**asked: Any) -> list[tuple[str, int, float, float]]:
            joined: dict[str, list[Any]] = {}
            for one in ledger.letter_groups(topic, DeadWanted(**asked)):
                joined.setdefault(one.sample.headers["code"], []).append(one)
            return sorted(
                (code, sum(o.count for o in some), min(o.first for o in some), max(o.last for o in some))
                for code, some in joined.items()
            )

        assert counted() == [("R45", 2, 1.5, 3.5), ("R80", 1, 1.5, 4.5)]
        assert (
            counted(equal={"code": "R45"}) == counted(since=0.0, equal={"feed": "sil", "code": "R45"}) == counted()[:1]
        )
        assert counted(since=4.0) == [("R80", 1, 1.5, 4.5)]
        assert counted(within=["750000018"]) == [("R45", 1, 1.5, 3.5)]

        def paged(limit: int | None, *codes: str, wanted: DeadWanted = EVERY, **asked: Any) -> list[str]:
            groups = [one for one in ledger.letter_groups(topic, DeadWanted()) if one.equal["code"] in codes]
            found = ledger.letter_page(topic, wanted, groups if codes else None, limit, **asked)
            return [record.headers["id"] for _, _, record in found]

        assert paged(None) == ["e2", "e1", "e0"] and paged(2, newest=False) == ["e0", "e1"]
        assert paged(9, "R45") == ["e1", "e0"] and paged(1, "R45", "R80") == ["e2"]
        assert paged(9, beyond=Beyond(3.5, "1/1")) == ["e0"] and paged(9, beyond=Beyond(3.5, True)) == ["e1", "e0"]
        assert paged(9, wanted=DeadWanted(events=["e1", "e9"])) == ["e1"]
        assert set(ledger.letter_owners(topic, DeadWanted(), None)) == {"", "750000018"}
        ledger.note_letters(topic, "t2", letters[2:3], (), {Partition(topic, 0): 1})
        assert [one.headers["id"] for one in ledger.letters(topic)] == ["e2"]
        assert ledger.letters_seen(topic, "t1") == {}
        ledger.note_letters(topic, "", [], (), {})
        assert list(ledger.letters(topic)) == []
        assert len(ledger.letters("dlq.pipeline")) == 1

    def test_bytes_that_are_still_needed(self, ledger: Ledger) -> None:
        """Where the bytes of unfinished and dead rows of one sink stand; those of what has ended are not needed."""
        states = dict.fromkeys(State)
        at = {state: Origin("held.x", 0, n) for n, state in enumerate(states)}
        ledger.open([row(state.value, n, state=state, bytes_at=at[state]) for n, state in enumerate(states)])
        ledger.open([row("other", 1, sink="dmp.chu", bytes_at=Origin("held.y", 0, 1))])
        needed = set(at.values()) - {at[State.DONE], at[State.SUPERSEDED]}
        assert set(ledger.needed(SINK, 0.0)) == needed
        assert set(ledger.needed("dmp.chu", 0.0)) == {Origin("held.y", 0, 1)}
        assert set(ledger.needed("nobody", 0.0)) == set()
        given_up, place = row("given up", 9, state=State.SUPERSEDED), Origin("dlq.x", 0, 3)
        ledger.open([replace(given_up, code=DISCARDED, updated=50.0, bytes_at=place)])
        assert set(ledger.needed(SINK, 50.0)) == needed | {place}
        assert set(ledger.needed(SINK, 50.1)) == needed

    def test_forget_drops_what_is_old_and_finished(self, ledger: Ledger) -> None:
        """Old claims and old done rows go; what waits, and what died unresolved, stays however old."""
        ledger.claim([Claim("old", AT, b"", 1.0), Claim("new", AT, b"", 100.0)])
        states = {"done": State.DONE, "over": State.SUPERSEDED, "dead": State.DEAD, "wait": State.WAITING}
        rows = [row(name, n, state=state, updated=1.0) for n, (name, state) in enumerate(states.items())]
        ledger.open([replace(one, delivery=replace(one.delivery, action="initial")) for one in rows])
        ledger.open([row("fresh", 9, state=State.DONE, updated=100.0)])
        assert ledger.forget(50.0) == 3
        assert set(ledger.acks(["old", "new"])) == {"new"}
        assert set(ledger.get([*states, "fresh"])) == {"dead", "wait", "fresh"}

    def test_what_overtook_others_is_remembered_for_a_year_longer(self, ledger: Ledger) -> None:
        """A dead letter of a pipeline has no row: replayed, it must still find the deletion that came since."""
        year = 365 * 86_400.0
        for number, action in enumerate(("initial", "replace", "delete")):
            one = row(action, number, state=State.DONE, updated=1.0)
            ledger.open([replace(one, delivery=replace(one.delivery, action=action))])
        assert ledger.forget(50.0) == 1
        assert set(ledger.get(["initial", "replace", "delete"])) == {"replace", "delete"}
        assert ledger.forget(50.0 + year) == 2

    def test_long_batches(self, ledger: Ledger) -> None:
        """A batch may be longer than any limit of a database on the parameters of a statement."""
        rows = [row(f"d{n}", n) for n in range(3000)]
        assert ledger.open(rows) == {}
        assert len(ledger.open(rows)) == 3000
        ledger.save([replace(r, state=State.DONE) for r in rows])
        assert list(ledger.unfinished("mssante.chu", [0])) == []
        claims = [Claim(f"e{n}", AT, b"a", 0.0) for n in range(3000)]
        assert set(ledger.claim(claims)) == {AT}
        assert len(ledger.acks([claim.id for claim in claims])) == 3000

    def test_it_is_there_after_a_restart(self, ledger: Ledger, again: Callable[[], Ledger]) -> None:
        """What one process wrote, the next one reads."""
        ledger.open([row("d1", 1)])
        ledger.claim([Claim("e", AT, b"ack", 1.0)])
        ledger.close()
        successor = again()
        assert successor.get(["d1"]) == {"d1": row("d1", 1)}
        assert successor.acks(["e"]) == {"e": b"ack"}

    def test_many_claimants_agree_on_one_owner(self, ledger: Ledger, again: Callable[[], Ledger]) -> None:
        """Processes that claim the same ids at once, in different orders, all hear the same owners."""
        names = [f"e{n}" for n in range(40)]
        answers: dict[int, dict[str, Origin]] = {}
        ledgers = {n: again() for n in range(4)}

        def claim(n: int) -> None:
            order = names if n % 2 else names[::-1]
            origins = ledgers[n].claim([Claim(name, Origin("in.sil", n, 1), b"") for name in order])
            answers[n] = dict(zip(order, origins, strict=True))

        threads = [threading.Thread(target=claim, args=(n,)) for n in ledgers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 4
        assert all(answer == answers[0] for answer in answers.values())

    # ------------------------------------------------------------------------------------------ fencing

    def test_each_taking_raises_the_epoch(self, ledger: Ledger, again: Callable[[], Ledger]) -> None:
        """A partition's epoch grows with every taking, for this partition of this sink only, across restarts."""
        assert ledger.take(SINK, {0, 1}) == {0: 1, 1: 1}
        assert ledger.take(SINK, [1, 2]) == {1: 2, 2: 1}
        assert ledger.take("dmp.chu", [1]) == {1: 1}
        assert ledger.take(SINK, []) == {}
        ledger.close()
        assert again().take(SINK, [0, 1, 2]) == {0: 2, 1: 3, 2: 2}

    def test_the_owner_opens_and_saves(self, ledger: Ledger) -> None:
        """Who shows the present epochs writes as if nobody had ever asked."""
        fence = {(SINK, number): epoch for number, epoch in ledger.take(SINK, [0, 1]).items()}
        assert ledger.open([row("d1", 1), row("d2", 2, partition=1)], fence) == {}
        done = row("d1", 1, state=State.DONE)
        ledger.save([done], fence)
        assert ledger.open([row("d1", 1)], fence) == {"d1": done}

    def test_rows_are_opened_and_saved_together_or_not_at_all(self, ledger: Ledger) -> None:
        """One transaction for both: what was there is returned, and one lost partition refuses all of it."""
        fence = {(SINK, number): epoch for number, epoch in ledger.take(SINK, [0, 1]).items()}
        ledger.open([row("d1", 1)], fence)
        done = row("d1", 1, state=State.DONE)
        assert ledger.write([row("d2", 2, partition=1)], [done], fence) == {}
        assert ledger.write([row("d1", 9), row("d3", 3)], [], fence) == {"d1": done}
        again = row("d1", 1, state=State.DONE, attempts=2)
        assert ledger.write([row("d1", 9)], [again], fence) == {"d1": again}
        assert ledger.write([], [], fence) == {}
        ledger.take(SINK, [1])
        with pytest.raises(Fenced) as caught:
            ledger.write([row("d4", 4)], [row("d2", 2, partition=1, state=State.DONE)], fence)
        assert caught.value.partitions == {1}
        assert {id_: one.state for id_, one in ledger.get(["d1", "d2", "d3", "d4"]).items()} == {
            "d1": State.DONE, "d2": State.READY, "d3": State.READY,
        }  # fmt: skip

    def test_who_lost_a_partition_writes_no_row_of_it(self, ledger: Ledger, again: Callable[[], Ledger]) -> None:
        """Frozen before its write and woken after another took the partition: the successor's row stays."""
        old = {(SINK, 0): ledger.take(SINK, [0])[0]}
        ledger.open([row("d1", 1, state=State.BEGUN)], old)
        successor = again()
        new = {(SINK, 0): successor.take(SINK, [0])[0]}
        done = row("d1", 1, state=State.DONE, code="250", updated=5.0)
        successor.save([done], new)
        for write in (ledger.save, ledger.open):
            with pytest.raises(Fenced) as caught:
                write([row("d1", 1, state=State.WAITING), row("d2", 2)], old)
            assert caught.value.partitions == {0}
        assert ledger.get(["d1", "d2"]) == {"d1": done}

    def test_a_refused_batch_names_the_partitions_and_writes_nothing(self, ledger: Ledger) -> None:
        """One lost partition refuses the whole batch and is named, so that the writer can leave it out."""
        fence = {(SINK, number): epoch for number, epoch in ledger.take(SINK, [0, 1, 2]).items()}
        ledger.open([row(f"d{n}", n, partition=n) for n in range(3)], fence)
        ledger.take(SINK, [1])
        with pytest.raises(Fenced) as caught:
            ledger.save([row(f"d{n}", n, partition=n, state=State.DONE) for n in range(3)], fence)
        assert caught.value.partitions == {1}
        assert [r.state for r in ledger.get(["d0", "d1", "d2"]).values()] == [State.READY] * 3
        ledger.save([row(f"d{n}", n, partition=n, state=State.DONE) for n in (0, 2)], fence)
        assert [r.delivery.id for r in ledger.unfinished(SINK, [0, 1, 2])] == ["d1"]

    def test_a_fence_must_name_the_partition(self, ledger: Ledger) -> None:
        """A partition that was never taken, or only for another sink, is nobody's to write."""
        ledger.take(SINK, [0])
        for fence in ({}, {("dmp.chu", 0): 1}, {(SINK, 1): 0}):
            with pytest.raises(Fenced) as caught:
                ledger.open([row("d1", 1, partition=1)], fence)
            assert caught.value.partitions == {1}
        assert ledger.get(["d1"]) == {}

    def test_no_write_slips_past_a_taking(self, ledger: Ledger, again: Callable[[], Ledger]) -> None:
        """However the two fall: what an owner wrote the successor reads, and nothing of it comes after that."""
        ledger.open([row("d1", 1)])
        for _ in range(20):
            owner, successor = again(), again()
            held = {(SINK, 0): owner.take(SINK, [0])[0]}
            thread = threading.Thread(target=_write_until_fenced, args=(owner, held))
            thread.start()
            successor.take(SINK, [0])
            read = successor.get(["d1"])["d1"]
            thread.join()
            assert successor.get(["d1"])["d1"] == read
            owner.close()
            successor.close()


def _write_until_fenced(owner: Ledger, held: Fence) -> None:
    attempts = 0
    with suppress(Fenced):
        while True:
            attempts += 1
            owner.save([row("d1", 1, state=State.BEGUN, attempts=attempts)], held)
