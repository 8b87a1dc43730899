"""Cases for the work-lists of the world of the console: one of each kind, all of hospital A."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from router.engine.delivery.worker import SinkWorker
from router.engine.delivery.worker_settings import Limits
from router.errors import OutcomeUnknown, Refused
from router.exchange import PATIENT, Disposition, Receipt, ReceiptKind, State
from router.feedback.answers import CONTRADICTED, DELAYED, OVERDUE
from router.hl7.message import Message
from router.register import read
from router.sinks.mssante.settings import KEEPS
from tests.console.console_world import EVENT_A, EVENT_B, A, World
from tests.console.sink_worker import publish, work
from tests.engine.sinks import ScriptedSink
from tests.journal.journal_samples import receipt
from tests.register.register_samples import INS_1, adt, ins, ipp

SINK = "mssante.a"
LATE, KEPT = "c" * 32, "f" * 32


def held(world: World, *, sink: str = SINK, structure: str = A, start: int = 50) -> str:
    """A delivery of unknown outcome that waits for a person: its id."""
    (made,) = publish(world, 1, sink=sink, structure=structure, start=start)
    script, ledger = ScriptedSink(sink, on_unknown="hold"), world.services.ledger()
    script.behaviour = lambda _delivery, _attempt: OutcomeUnknown("CUT")

    async def run() -> None:
        limits = Limits(hold_after=0.03, sweep=0.03)
        worker = SinkWorker(script, world.services.bus, world.services.ledger(), member="sinks-0", limits=limits)
        task = asyncio.create_task(worker.run())
        async with asyncio.timeout(20):
            while True:
                rows = await asyncio.to_thread(ledger.get, [made])
                if made in rows and rows[made].state is State.PARKED:
                    break
                await asyncio.sleep(0.02)
        worker.stop()
        await task

    asyncio.run(run())
    return made


def in_doubt(world: World) -> str:
    """A deletion that the DMP's sink refused, because an older version may stand there."""
    (made,) = publish(world, 1, sink=SINK, structure=A, start=70)
    work(world, SINK, [made], State.DEAD, fault=lambda _d, _a: Refused("PFI-DELETE-DOUBT", "TD3.1b", "en doute"))
    return made


def moved_identity(world: World) -> str:
    """The mail of A's message had left when its patient was merged: the id of the case."""
    register, of = world.services.register, world.services.pseudonyms.of

    def tell(event: str, message: bytes) -> None:
        register.apply(event, read(Message.parse(message)))

    tell("e1", adt("A28", ipp("B"), ins(INS_1)))
    register.note_departure([of("ipp", "CHU-X", "B")], EVENT_A[:31] + "1", "1.2.3", SINK, world.clock.at - 50)
    tell("e2", adt("A40", ipp("A"), ins(INS_1), mrg=ipp("B")))
    (entry,) = register.work()
    return entry.id


def silent(world: World) -> None:
    """A mail of A's message of which nothing is heard, and a recipient who keeps an older version."""
    at = world.clock.at
    common: dict[str, Any] = {"event_id": EVENT_A, "sink": SINK, "feed": "sil"}
    sent = receipt(2, at - 7000, delivery_id=LATE, **common)
    late = receipt(
        2, at - 600, ReceiptKind.DSN, delivery_id=LATE, ok=False, code=OVERDUE, text="sans nouvelles", **common
    )
    keeps = receipt(
        2, at - 500, delivery_id=KEPT, ok=False, code=KEEPS, text="garde", disposition=Disposition.FILTERED, **common
    )
    world.write([], [sent, late, replace(keeps, label=PATIENT)])


def many(number: int) -> str:
    """Id of one of the mails of `reports`."""
    return f"{number:032x}"


def reports(world: World) -> None:
    """Mails of A's message: heard of and not, in each order; and one of B's that is silent."""
    at = world.clock.at

    def dsn(number: int, after: float, code: str = OVERDUE, event: str = EVENT_A) -> Receipt:
        told = {"ok": not code, "code": code, "delivery_id": many(number), "event_id": event, "feed": "sil"}
        return receipt(2, at - 5000 + after, ReceiptKind.DSN, **told)

    sent = [
        receipt(2, at - 6000 + n, delivery_id=many(n), event_id=EVENT_B if n == 9 else EVENT_A, feed="sil")
        for n in range(1, 10)
    ]
    told = [
        *(dsn(1, 0), dsn(1, 10, "")),  # delivered in the end
        *(dsn(2, 0), dsn(2, 10, DELAYED)),  # no word
        dsn(3, 0),
        *(dsn(4, 0), replace(dsn(4, 20, ""), kind=ReceiptKind.MDN)),  # read
        *(dsn(5, 5, ""), dsn(5, 30)),  # silent after all
        *(dsn(6, 0), dsn(6, 10, "MSS-552")),  # refused: that is a word
        *(dsn(7, 0), dsn(7, 5, CONTRADICTED)),  # no word
        dsn(9, 0, event=EVENT_B),
    ]
    world.write([], [*sent, *told])


def everything(world: World) -> tuple[str, str, str]:
    """One of each: (held delivery, delivery in doubt, case of an identity)."""
    silent(world)
    return held(world), in_doubt(world), moved_identity(world)
