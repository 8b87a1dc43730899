"""The seams: every protocol between two rooms, and the names that travel on the bus.

Nothing here has behaviour worth a test of its own; each implementation passes the contract suite of its
protocol (`tests/contracts/`), the fakes of `router.simulators` included.
"""

from __future__ import annotations

from router.contracts.bus import (
    Bus,
    Consumer,
    Offsets,
    Outgoing,
    Partition,
    Producer,
    Record,
    Settle,
    TopicPlan,
    first_offsets,
    rewind,
)
from router.contracts.dead_letters import Beyond, DeadGroup, DeadWanted, LetterGroup, cause
from router.contracts.ledger import DISCARDED, Claim, Fence, Ledger, Row, Standing
from router.contracts.sinks import Archive, Attempt, Outcome, OwnTurns, Sink, Step, Turns
from router.contracts.topics import (
    EVENT_FORMAT,
    JOURNAL,
    RECEIPTS,
    Header,
    dlq_topic,
    held_topic,
    in_topic,
    out_topic,
    raw_topic,
)
from router.contracts.watch import RECOVERIES, Alert, Clock, Observer, SystemClock, Unobserved, no_alert

__all__ = [
    "DISCARDED",
    "EVENT_FORMAT",
    "JOURNAL",
    "RECEIPTS",
    "RECOVERIES",
    "Alert",
    "Archive",
    "Attempt",
    "Beyond",
    "Bus",
    "Claim",
    "Clock",
    "Consumer",
    "DeadGroup",
    "DeadWanted",
    "Fence",
    "Header",
    "Ledger",
    "LetterGroup",
    "Observer",
    "Offsets",
    "Outcome",
    "Outgoing",
    "OwnTurns",
    "Partition",
    "Producer",
    "Record",
    "Row",
    "Settle",
    "Sink",
    "Standing",
    "Step",
    "SystemClock",
    "TopicPlan",
    "Turns",
    "Unobserved",
    "cause",
    "dlq_topic",
    "first_offsets",
    "held_topic",
    "in_topic",
    "no_alert",
    "out_topic",
    "raw_topic",
    "rewind",
]
