"""What a sink worker is told and handles later: order, batches, and how much of it is outstanding."""

from __future__ import annotations

import asyncio

from router.contracts import Header, Record
from router.engine.delivery.inbox import SWEEP, Command, Inbox, Message
from router.engine.delivery.partition_reader import Assigned, Polled


def record(offset: int, *, command: bool = False) -> Record:
    headers = {Header.COMMAND: "replay"} if command else {}
    return Record("out.s", 0, offset, "key", b"12345", headers, 0.0)


def take_all(inbox: Inbox) -> list[Message]:
    """What `next` gives until nothing is left."""

    async def take() -> list[Message]:
        taken: list[Message] = []
        while inbox.outstanding or not taken:
            message = await asyncio.wait_for(inbox.next(), 5)
            assert message is not None
            inbox.handled(message)
            taken.append(message)
        return taken

    return asyncio.run(take())


def test_a_command_is_handled_between_the_deliveries_around_it() -> None:
    """Whatever came before a command is handled before it, and what came after it later; none is handled with it."""
    inbox = Inbox()
    first, command, second = record(1), record(2, command=True), record(3)
    inbox.put(Polled([first, command, second]))
    assert (inbox.outstanding, inbox.outstanding_bytes) == (3, 15)
    assert take_all(inbox) == [Polled([first]), Command(command), Polled([second])]
    assert (inbox.outstanding, inbox.outstanding_bytes) == (0, 0)


def test_deliveries_of_several_polls_are_one_batch_but_not_across_other_news() -> None:
    """While the worker was busy the reader polled more than once: one write for all of it, in the order told."""
    inbox = Inbox()
    inbox.put(Polled([record(1)]))
    inbox.put(Polled([record(2)]))
    inbox.put(Assigned(frozenset({7})))
    inbox.put(Polled([record(3)]))
    assert take_all(inbox) == [
        Polled([record(1), record(2)]),
        Assigned(frozenset({7})),
        Polled([record(3)]),
    ]


def test_a_closed_inbox_gives_nothing_more() -> None:
    """When the worker stops, what it did not begin to handle stays on the bus; who waits for news hears of it."""

    async def story() -> None:
        inbox = Inbox()
        waiting = asyncio.create_task(inbox.next())
        await asyncio.sleep(0)
        inbox.close()
        assert await asyncio.wait_for(waiting, 5) is None
        inbox.put(SWEEP)
        assert await inbox.next() is None

    asyncio.run(story())
