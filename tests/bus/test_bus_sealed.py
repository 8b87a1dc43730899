"""A bus that is sealed keeps the contract, and its file tells nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from router.bus.observed import observed
from router.bus.sealed import Seals, sealed
from router.bus.sqlite import store
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Bus, Outgoing, Unobserved
from router.errors import OperatorFault
from router.exchange import Origin
from router.sealing.sealer import Sealer
from tests.contracts.bus_contract import BusContract
from tests.sealing.rings import NEW, OLD, OTHER, masters, ring


@pytest.fixture
def sealer(tmp_path: Path) -> Iterator[Sealer]:
    with closing(ring(tmp_path)) as keys:
        yield Sealer(keys)


class TestSealedBus(BusContract):
    """The contract, sealed and measured as a site opens it."""

    @pytest.fixture
    def bus(self, tmp_path: Path, sealer: Sealer) -> Iterator[Bus]:
        bus = SqliteBus(tmp_path / "bus.db")
        yield observed(sealed(bus, Seals(sealer, writes=True)), Unobserved())
        bus.close()

    @pytest.fixture
    def again(self, tmp_path: Path, bus: Bus, sealer: Sealer) -> Iterator[Callable[[], Bus]]:
        opened: list[SqliteBus] = []

        def open_again() -> Bus:
            opened.append(SqliteBus(tmp_path / "bus.db"))
            return observed(sealed(opened[-1], Seals(sealer, writes=True)), Unobserved())

        yield open_again
        for other in opened:
            other.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteBus]:
    bus = SqliteBus(tmp_path / "bus.db", partitions=1)
    yield bus
    bus.close()


def publish(bus: Bus, *records: Outgoing) -> list[Origin]:
    return list(bus.producer("p").publish(records))


LETTER = Outgoing("in.sil", "k", b"PID|||187000000000000^^^ASIP", {"id": "e1", "feed": "sil"})


def test_nothing_stands_in_clear(tmp_path: Path, file: SqliteBus, sealer: Sealer) -> None:
    """Neither in the file nor in its log; what other systems read does."""
    bus = sealed(file, Seals(sealer, writes=True, in_clear=["acks"]))
    publish(bus, LETTER, Outgoing("acks", "", b"MSA|AA|1"), Outgoing("raw.sil", "", b"MSH|raw"))
    held = b"".join(path.read_bytes() for path in tmp_path.glob("bus.db*") if path.is_file())
    assert b"187000000000000" not in held
    assert b"MSA|AA|1" in held and b"MSH|raw" in held
    assert [record.value for record in bus.scan("acks")] == [b"MSA|AA|1"]


def test_on_and_off_and_on_again(file: SqliteBus, sealer: Sealer) -> None:
    """Records in clear and sealed ones are read side by side, whichever way new ones are written."""
    on, off = sealed(file, Seals(sealer, writes=True)), sealed(file, Seals(sealer, writes=False))
    for bus in (off, on, off, on):
        publish(bus, LETTER)
    for bus in (on, off):
        assert [record.value for record in bus.scan("in.sil")] == [LETTER.value] * 4
        assert all(record.headers == LETTER.headers for record in bus.scan("in.sil"))
        assert all(record.headers == LETTER.headers for record in bus.headlines("in.sil"))
    consumer = on.consumer("g", ["in.sil"], member="m")
    assert [r.value for r in consumer.poll(max_records=9, max_bytes=9999, timeout=2)] == [LETTER.value] * 4
    consumer.close()


def test_an_older_router_does_not_open_a_sealed_file(
    tmp_path: Path, file: SqliteBus, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take sealed bytes for a message, and send them."""
    sealed(file, Seals(sealer, writes=False))
    SqliteBus(tmp_path / "bus.db").close()
    monkeypatch.setattr(store, "SEALED_VERSION", 1)
    SqliteBus(tmp_path / "bus.db").close()
    sealed(file, Seals(sealer, writes=True))
    with pytest.raises(OperatorFault, match="BUS-VERSION"):
        SqliteBus(tmp_path / "bus.db")


@pytest.mark.parametrize("what", ["without encryption", "another master key"])
def test_a_record_that_no_key_opens_stops_its_reader(
    tmp_path: Path, file: SqliteBus, sealer: Sealer, what: str
) -> None:
    """It may be whole: it is no dead letter, and comes again, with what was polled before it, once the key is there."""
    on = sealed(file, Seals(sealer, writes=True))
    publish(sealed(file, Seals(None, writes=False)), LETTER)
    publish(on, LETTER)
    with closing(ring(tmp_path, masters(OTHER))) as foreign:
        seals = Seals(None if what == "without encryption" else Sealer(foreign), writes=False)
        consumer = sealed(file, seals).consumer("g", ["in.sil"], member="m")
        for _ in range(2):
            with pytest.raises(OperatorFault, match=r"SEALING-OFF|SEALING-WRONG-MASTER"):
                consumer.poll(max_records=9, max_bytes=9999, timeout=2)
        consumer.close()
    consumer = on.consumer("g", ["in.sil"], member="m")
    assert len(consumer.poll(max_records=9, max_bytes=9999, timeout=2)) == 2
    consumer.close()


@pytest.mark.parametrize("how", ["bit", "cut", "empty", "exchanged", "header", "topic"])
def test_a_record_that_was_changed_is_damaged(tmp_path: Path, file: SqliteBus, sealer: Sealer, how: str) -> None:
    """Its reader gets it empty and marked, and goes on to the next."""
    bus = sealed(file, Seals(sealer, writes=True))
    first, second, other = publish(
        bus, LETTER, Outgoing("in.sil", "k", b"second", {"id": "e2"}), Outgoing("in.ris", "k", b"other", LETTER.headers)
    )
    with closing(sqlite3.connect(tmp_path / "bus.db")) as db:
        db.create_function("flipped", 1, lambda value: value[:40] + bytes([value[40] ^ 1]) + value[41:])
        rows = db.execute(
            "SELECT r.id FROM records r JOIN partitions p ON p.id = r.id >> 40 JOIN topics t ON t.id = p.topic"
            " ORDER BY t.name DESC, r.id"
        )
        ids = [number for (number,) in rows]
        change = {
            "bit": "UPDATE records SET value=flipped(value) WHERE id=:a",
            "cut": "UPDATE records SET value=substr(value,1,length(value)-1) WHERE id=:a",
            "empty": "UPDATE records SET value=x'' WHERE id=:a",
            "exchanged": "UPDATE records SET value=(SELECT value FROM records WHERE id=:b) WHERE id=:a",
            "header": "UPDATE records SET headers=replace(headers,'e1','e9') WHERE id=:a",
            "topic": "UPDATE records SET value=(SELECT value FROM records WHERE id=:c) WHERE id=:a",
        }[how]
        before = [bus.read(place) for place in (first, second, other)]
        assert all(record is not None and not record.damaged for record in before)
        named = dict(zip("abc", ids, strict=True))
        db.execute(change, named)
        db.commit()
    consumer = bus.consumer("g", ["in.sil"], member="m")
    found = consumer.poll(max_records=9, max_bytes=9999, timeout=2)
    assert [(record.damaged, record.value) for record in found] == [(True, b""), (False, b"second")]
    consumer.close()


def test_messages_flow_through_a_rotation(tmp_path: Path, file: SqliteBus) -> None:
    """Writers and readers of before, during and after: each record is read by all, and the old master is not needed."""
    old, both = ring(tmp_path), ring(tmp_path, masters(NEW, OLD))
    before, during = (sealed(file, Seals(Sealer(one), writes=True)) for one in (old, both))
    for number, bus in enumerate((before, during, before, during)):
        publish(bus, Outgoing("in.sil", "k", str(number).encode(), {"id": str(number)}))
        assert all(len(list(one.scan("in.sil"))) == number + 1 for one in (before, during))
        if number == 1:
            both.rotate()
        if number == 2:
            both.retire()
    with closing(ring(tmp_path, masters(NEW))) as new:
        for bus in (before, during, sealed(file, Seals(Sealer(new), writes=True))):
            assert [record.value for record in bus.scan("in.sil")] == [b"0", b"1", b"2", b"3"]
    old.close()
    both.close()
