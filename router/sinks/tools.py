"""What every sink is opened with: time, watchers, the past, and what is looked up at the moment of sending."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from router.cisis.valuesets import ValueSets
from router.contracts import Archive, Clock, Observer, OwnTurns, Turns
from router.contracts.keeping import Keeper, KeepsNothing
from router.errors import Unavailable
from router.exchange import Pseudonyms
from router.structures import Environment

if TYPE_CHECKING:
    from router.directory.directory import Directory


@cache
def shipped() -> ValueSets:
    """The value sets of the package."""
    return ValueSets.load()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """`archive` answers from the ledger and is asked by one thread at a time; `directory` is shared by all sinks.

    keeper: takes what leaves and what is answered, as the site's archive wants it
    """

    clock: Clock
    observer: Observer
    archive: Archive
    environment: Environment
    pseudonyms: Pseudonyms
    directory: Directory
    value_sets: ValueSets = field(default_factory=shipped)
    turns: Turns = field(default_factory=OwnTurns)
    keeper: Keeper = field(default_factory=KeepsNothing)


async def next_turn(turns: Turns, name: str, interval: float) -> float:
    """Reserve the next turn of `name`; seconds until then. The event loop never waits for the database.

    Raises `Unavailable`, which opens no circuit, while the turns can't be asked for.
    """
    wait = turns.at_hand(name, interval)
    if wait is not None:
        return wait
    try:
        return await asyncio.to_thread(turns.take, name, interval)
    except Unavailable as fault:
        raise Unavailable(fault.code, "pace", fault.text, circuit=False) from fault
