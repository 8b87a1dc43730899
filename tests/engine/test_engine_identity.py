"""A message is accepted, decided and delivered once, wherever a kill falls and however often it is sent again."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.exchange import State
from router.ledger.store import SqlLedger
from router.wire import read_delivery, read_journal, read_receipt
from tests.engine.crash import SENT, run_chain
from tests.engine.crash_walk import AT_ONCE, child, killed_at, killed_at_each

FEW = (3, 6, 12)
"""Half-steps of the short run."""


def answers(path: Path) -> list[tuple[str, bytes]]:
    """(code, whole ACK) of each message, in the order in which they were sent."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(code, bytes.fromhex(ack)) for code, ack in lines]


def killed(folder: Path, crash_at: int) -> bool:
    """Kill the whole way there, start it again with everything sent again, look. False when it ended before."""
    folder.mkdir()
    (folder / "effects").touch()
    code = child(run_chain, str(folder), crash_at, again=False)
    assert code in (0, -signal.SIGKILL)
    assert child(run_chain, str(folder), -1, again=True) == 0
    look(folder)
    return code != 0


def look(folder: Path) -> None:
    """Every answer is an acceptance, the late ones are the stored bytes; one delivery, one effect, one receipt each."""
    bus, ledger = SqliteBus(folder / "bus.db", partitions=2), SqlLedger(f"sqlite:///{folder}/ledger.db")
    ids = list(dict.fromkeys(record.headers["id"] for record in bus.scan("in.f")))
    assert len(ids) == SENT
    stored = ledger.acks(ids)
    assert all(b"MSA|AA|C%d\r" % number in stored[id_] for number, id_ in enumerate(ids))
    for name in ("first", "last-gateway-0", "last-gateway-1"):
        told = answers(folder / name)
        assert {code for code, _ in told} == {"AA"}
        if name != "first":
            assert [ack for _, ack in told] == [stored[id_] for id_ in ids]
    deliveries = [read_delivery(record) for record in bus.scan("out.s")]
    assert [delivery.event_id for delivery in deliveries] == ids
    made = [line.split()[0] for line in (folder / "effects").read_text().splitlines()]
    assert made == [delivery.id for delivery in deliveries]
    assert {row.state for row in ledger.get(made).values()} == {State.DONE}
    ended = Counter(r.delivery_id for r in map(read_receipt, bus.scan("receipts")) if r.disposition)
    assert set(ended) == set(made)
    kinds = Counter(entry.kind for entry in map(read_journal, bus.scan("journal")))
    assert (kinds["received"], kinds["decided"]) == (SENT, SENT)
    ledger.close()
    bus.close()


def test_the_whole_way_killed_at_some_writes(tmp_path: Path) -> None:
    """A few half-steps, in every run of the suite."""
    killed_at(FEW, tmp_path, killed, AT_ONCE)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_way_killed_at_every_write(tmp_path: Path) -> None:
    """Right before and right after each durable write of gateway, pipeline and sink: the stored ACK, one delivery."""
    assert killed_at_each(tmp_path, killed, AT_ONCE) > 15
