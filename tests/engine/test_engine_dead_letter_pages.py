"""Pages of dead letters: rows of the ledger and letters of the topics as one list."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from router.contracts import Header, Outgoing, Record, Row, dlq_topic
from router.engine.dead_letters import listing, paging
from router.engine.dead_letters.listing import Filter
from router.exchange import Origin, State
from router.ledger.store import SqlLedger
from tests.engine.memory import MemoryBus
from tests.engine.sinks import delivery

COUNT = 12
SINKS = ["s"]


class NoWholeLists(SqlLedger):
    """A ledger that gives no list that grows with the number of dead letters."""

    def dead(
        self, sink: str | None = None, within: Collection[str] | None = None, *, strict: bool = False
    ) -> Sequence[Row]:
        raise AssertionError("all dead rows were asked for")

    def letters(self, topic: str, within: Collection[str] | None = None) -> Sequence[Record]:
        raise AssertionError("all letters were asked for")

    def get(self, ids: Sequence[str]) -> dict[str, Row]:
        assert len(ids) <= COUNT
        return dict(super().get(ids))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    ledger = NoWholeLists(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield ledger
    ledger.close()


@pytest.fixture
def bus(ledger: SqlLedger) -> MemoryBus:
    """Dead rows, one that is held, and letters of two topics, many of them of one moment."""
    bus = MemoryBus()
    for n in range(COUNT):
        made = replace(delivery(n, f"l{n}"), structure=f"75000000{n % 2}")
        row = Row(delivery=made, partition=0, sequence=n, bytes_at=Origin("dlq.s", 0, n), state=State.DEAD, code="A",
                  evidence={"cause": "c1", "place": "P"}, updated=float(n // 4))  # fmt: skip
        ledger.open([replace(row, state=State.PARKED, code="UNKNOWN-HELD") if n == 0 else row])
    for stage in ("intake", "s"):
        told = {
            Header.CODE: "B",
            Header.FEED: "f",
            Header.PLACE: "Q",
            Header.CAUSE: f"old-{stage}",
            Header.STAGE: stage,
        }
        for n in range(COUNT):
            own = {Header.ID: f"{stage}{n}", Header.LAST: f"{n // 4}.0", Header.STRUCTURE: "750000001"}
            bus.producer("t").publish([Outgoing(dlq_topic(stage), f"k{n}", b"x", told | own)])
    return bus


def walked(bus: MemoryBus, ledger: SqlLedger, which: Filter, per: int, *, newest: bool = True) -> list[str]:
    """Everything, page by page."""
    found: list[str] = []
    after = ""
    while True:
        page = paging.page(bus, ledger, which, sinks=SINKS, limit=per, newest=newest, after=after)
        assert len(page.rows) <= per
        found += [one.delivery_id or one.event_id for one in page.rows]
        if not (after := page.next):
            return found


@pytest.mark.parametrize("per", [1, 5])
def test_each_stands_on_one_page(bus: MemoryBus, ledger: SqlLedger, per: int) -> None:
    """None twice and none left out, in one order, though many have the same time and lie in different places."""
    whole = walked(bus, ledger, Filter(), 1000)
    assert len(whole) == len(set(whole)) == 3 * COUNT - 1
    assert walked(bus, ledger, Filter(), per) == whole
    assert sorted(walked(bus, ledger, Filter(), per, newest=False)) == sorted(whole)
    times = [one.last for one in paging.page(bus, ledger, sinks=SINKS, limit=1000).rows]
    assert times == sorted(times, reverse=True)


def test_a_page_of_a_cause(bus: MemoryBus, ledger: SqlLedger) -> None:
    """Its rows or its letters, by today's name of the cause or an older one; as many as the list has counted."""
    for group in listing.groups(bus, ledger, sinks=SINKS):
        found = walked(bus, ledger, Filter(cause=group.cause), 5)
        assert len(found) == group.count
        assert [one.cause for one in listing.groups(bus, ledger, Filter(cause=group.cause), sinks=SINKS)] == [
            group.cause
        ]
    assert len(walked(bus, ledger, Filter(cause="old-intake"), 5)) == COUNT
    assert walked(bus, ledger, Filter(cause="nobody"), 5) == []


def test_held_deliveries_come_with_their_cause(bus: MemoryBus, ledger: SqlLedger) -> None:
    """They are on the pages of who asks for their code, and on no other."""
    (held,) = walked(bus, ledger, Filter(code="UNKNOWN-HELD"), 5)
    assert held == delivery(0, "l0").id and held not in walked(bus, ledger, Filter(), 1000)


def test_whose_dead_letters_they_are(bus: MemoryBus, ledger: SqlLedger) -> None:
    """Structures of rows and letters; within one's own, those alone, on pages too."""
    assert paging.owners(bus, ledger, Filter(cause="c1"), sinks=SINKS) == {"750000000", "750000001"}
    assert paging.owners(bus, ledger, Filter(code="B"), sinks=SINKS) == {"750000001"}
    own = Filter(within=frozenset({"750000000"}))
    assert paging.owners(bus, ledger, own, sinks=SINKS) == {"750000000"}
    assert len(walked(bus, ledger, own, 5)) == COUNT // 2 - 1


def test_a_place_that_is_none_begins_at_the_beginning(bus: MemoryBus, ledger: SqlLedger) -> None:
    """Whatever stands in an address, the answer is a page."""
    first = paging.page(bus, ledger, sinks=SINKS, limit=3)
    for after in ("", "x", "nan~rows~y", "1~rows~\0", "1~2", "x~rows~y", "~~~"):
        assert paging.page(bus, ledger, sinks=SINKS, limit=3, after=after) == first
    gone = paging.page(bus, ledger, sinks=SINKS, limit=3, after="0.5~dlq.gone~7")
    assert {one.last for one in gone.rows} == {0.0}


def test_an_id_finds_its_cause_its_event_or_its_delivery(bus: MemoryBus, ledger: SqlLedger) -> None:
    """Without reading any others."""
    assert len(paging.letters(bus, ledger, Filter(id="c1"), sinks=SINKS)) == COUNT - 1
    assert [one.event_id for one in paging.letters(bus, ledger, Filter(id="intake7"), sinks=SINKS)] == ["intake7"]
    own = delivery(3, "l3")
    for asked in (own.id, own.event_id):
        assert own.id in [one.delivery_id for one in paging.letters(bus, ledger, Filter(id=asked), sinks=SINKS)]
    assert paging.letters(bus, ledger, Filter(id=own.id, code="B"), sinks=SINKS) == []
