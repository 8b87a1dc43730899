"""Reads receipts, tells senders: one thread, one transaction for the answers and the offsets they come from."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from pydantic import ValidationError

from router.contracts import (
    RECEIPTS,
    RECOVERIES,
    Alert,
    Bus,
    Clock,
    Ledger,
    Observer,
    Outgoing,
    Partition,
    Record,
    Settle,
    first_offsets,
    rewind,
)
from router.errors import Fenced, Unavailable
from router.exchange import Receipt
from router.feedback.answers import Endpoint, answers, untold
from router.feedback.awaited import Awaited
from router.feedback.keepers import Keepers
from router.feedback.recipients import Recipients
from router.wire import delivery_record, read_receipt, receipt_record

log = logging.getLogger(__name__)

GROUP: Final = "feedback"
BATCH, BATCH_BYTES = 500, 4 * 2**20
LOOK_SECONDS: Final = 300.0
GATHER_SECONDS: Final = 0.05
"""Seconds between two batches. A sender's answer may wait so long, and answers cost less together."""
COMMIT_SECONDS: Final = 0.5
"""Seconds between two commits of offsets for which nothing was written. To read a receipt twice does no harm."""


def log_alert(what: str, facts: Mapping[str, str]) -> None:
    """An alert as a line of the log; `facts` hold no value of a message."""
    if what in RECOVERIES:
        log.info("recovery: %s", what, extra={"facts": dict(facts)})
    else:
        log.error("alert: %s", what, extra={"facts": dict(facts)})


class FeedbackWorker:
    """Turns final receipts into ZAM deliveries. `endpoints`: by feed. The ledger must be this worker's own.

    `run` returns after `stop`, and raises `Fenced` when another process took its name.
    """

    def __init__(
        self,
        bus: Bus,
        ledger: Ledger,
        endpoints: Mapping[str, Endpoint],
        *,
        clock: Clock,
        observer: Observer,
        member: str = "feedback-0",
        dsn_wait: Mapping[str, float] | None = None,
        alert: Alert = log_alert,
    ) -> None:
        """`dsn_wait`: seconds to wait for the DSN of a mail, by sink; sinks that are absent promise none."""
        self._bus = bus
        self._endpoints = dict(endpoints)
        self._clock = clock
        self._observer = observer
        self._alert = alert
        self._who = Recipients(bus, ledger)
        self._awaited = Awaited(dsn_wait or {})
        self._keepers = Keepers(ledger)
        self._stop = threading.Event()
        self._producer = bus.producer(member)
        self._consumer = bus.consumer(GROUP, [RECEIPTS], member=member)
        self._unsettled: dict[Partition, int] = {}
        self._settled = self._looked = float("-inf")
        self._loaded = False

    def run(self) -> None:
        """Work until `stop`; waits out an absent bus."""
        pause = 0.1
        try:
            while not self._stop.is_set():
                try:
                    if 0 < self.step() < BATCH:
                        self._stop.wait(GATHER_SECONDS)
                    pause = 0.1
                except Unavailable as error:
                    log.warning("feedback waits: %s", error)
                    self._stop.wait(pause)
                    pause = min(pause * 2, 10)
            with suppress(Unavailable):
                self._commit()
        finally:
            self._consumer.close()
            self._producer.close()

    def stop(self) -> None:
        """Ask `run` to return; any thread."""
        self._stop.set()

    def step(self, timeout: float = 1.0) -> int:
        """One batch: returns how many receipts it settled. Raises `Unavailable`; nothing is lost then."""
        self._load()
        records = self._consumer.poll(max_records=BATCH, max_bytes=BATCH_BYTES, timeout=timeout)
        if records:
            self._settle(records)
        if self._clock.monotonic() - self._settled >= COMMIT_SECONDS:
            self._commit()
        self._look()
        return len(records)

    def _settle(self, records: Sequence[Record]) -> None:
        offsets = {Partition(record.topic, record.partition): record.offset + 1 for record in records}
        out: list[Outgoing] = []
        try:
            read = [(record, receipt) for record in records if (receipt := _receipt(record)) is not None]
            for record, receipt in read:
                told = answers(receipt, self._endpoints, origin=record.origin, now=self._clock.now(), who=self._who)
                out += map(delivery_record, told)
            if out:
                self._producer.publish(out, settle=Settle(self._consumer, offsets))
                for partition in offsets:
                    self._unsettled.pop(partition, None)
            else:
                self._unsettled |= offsets
        except Unavailable:
            rewind(self._consumer, first_offsets(records))
            raise
        asked = False
        for _, receipt in read:
            self._awaited.note(receipt)
            asked = self._keepers.note(receipt) or asked
            if untold(receipt, self._endpoints):
                self._observer.count("untold_failures_total", sink=receipt.sink)
                facts = {"delivery": receipt.delivery_id, "event_id": receipt.event_id, "code": receipt.code}
                self._alert("an outcome that nobody will be told", facts | {"sink": receipt.sink})
        if asked:
            self._take_back()

    def _take_back(self) -> None:
        """Correct what was said of people who never got an earlier version (D19); while the ledger is away, later."""
        with suppress(Unavailable):
            if over := self._keepers.taken_back(self._clock.now()):
                self._producer.publish([receipt_record(receipt) for receipt in over])
                self._keepers.closed(over)

    def _commit(self) -> None:
        """Move the offsets of what was read and asked for no answer."""
        self._settled = self._clock.monotonic()
        ours = {partition: offset for partition, offset in self._unsettled.items() if self._consumer.owns(partition)}
        with suppress(Fenced):  # the next owner reads them again
            self._consumer.commit(ours)
        self._unsettled.clear()

    def _load(self) -> None:
        """Once, from the receipts of the last days: mails whose DSN is awaited, and who was listed (D19)."""
        if not self._loaded:
            self._awaited.load(self._bus, self._clock.now())
            self._keepers.load(self._bus, self._clock.now())
            self._loaded = True

    def _look(self) -> None:
        """Flag the mails whose DSN never came ("sans nouvelles"): for operators, the sender is not told."""
        if self._clock.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock.monotonic()
        self._take_back()
        late = self._awaited.overdue(self._clock.now())
        if late:
            self._producer.publish([receipt_record(receipt) for receipt in late])
            self._awaited.flagged(late)
        for sink, count in self._awaited.late_by_sink().items():
            self._observer.set("dsn_overdue", count, sink=sink)


def _receipt(record: Record) -> Receipt | None:
    try:
        return read_receipt(record)
    except ValidationError:
        log.error("a record of %s is no receipt, left out: %s", record.topic, record.origin)
        return None
