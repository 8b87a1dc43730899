"""Dead letters that have no ledger row: which nobody has resolved yet, and which an order has resolved itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from router.contracts import Bus, DeadWanted, Header, Ledger, Partition
from router.engine.dead_letters.listing import STAGES, DeadLetter
from router.engine.dead_letters.reading import RESOLVED, read_topics
from router.engine.delivery.command_marks import ORDER
from router.exchange import Origin


def standing(bus: Bus, ledger: Ledger, letters: Iterable[DeadLetter]) -> set[Origin]:
    """The places of those that nobody has replayed or given up until now. Raises `Unavailable`."""
    topics: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        topics.setdefault(letter.at.topic, []).append(letter)
    some = [letter for same in topics.values() for letter in same]
    stages = {letter.stage for letter in some} & {*STAGES}
    read_topics(bus, ledger, sorted(stages), sorted({letter.sink for letter in some if letter.stage not in STAGES}))
    found: set[Origin] = set()
    for topic, same in topics.items():
        events = DeadWanted(events=frozenset(letter.event_id for letter in same))
        found |= {record.origin for _, _, record in ledger.letter_page(topic, events, None, None)}
    return found & {letter.at for letter in some}


def resolved_by(bus: Bus, order: str, letters: Sequence[DeadLetter]) -> set[Origin]:
    """The places of those that this order has resolved, before a crash that hid it. Raises `Unavailable`."""
    found: set[Origin] = set()
    for topic in {letter.at.topic for letter in letters}:
        begin: dict[Partition, int] = {}
        for letter in letters:
            if letter.at.topic == topic:
                place = Partition(topic, letter.at.partition)
                begin[place] = min(begin.get(place, letter.at.offset), letter.at.offset)
        for record in bus.headlines(topic, lacking=Header.DELIVERY, begin=begin):
            headers = record.headers
            if headers.get(Header.COMMAND) == RESOLVED and headers.get(ORDER) == order:
                found.add(Origin.parse(headers[Header.ORIGIN]))
    return found
