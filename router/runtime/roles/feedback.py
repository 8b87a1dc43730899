"""The feedback's role."""

from __future__ import annotations

import threading

from router.feedback.answers import Endpoint
from router.feedback.correlate import Correlator
from router.feedback.mailbox import Mailbox
from router.feedback.reports import Reports
from router.feedback.worker import FeedbackWorker
from router.runtime.house import House
from router.runtime.roles import Ready
from router.runtime.roles.looping import alert
from router.sinks.mssante.settings import MssanteConfig


class FeedbackRole:
    """Receipts to business acknowledgements, and the mailboxes where DSN and MDN arrive."""

    def __init__(self, house: House, slot: int) -> None:
        self._house = house
        config = house.config
        endpoints = {
            name: Endpoint(feed.reply, feed.dmp_error_system) for name, feed in config.feeds.items() if feed.reply
        }
        mssante = {name: sink for name, sink in config.sinks.items() if isinstance(sink, MssanteConfig)}
        self._worker = FeedbackWorker(
            house.bus,
            house.ledger(),
            endpoints,
            clock=house.clock,
            observer=house.observer,
            member=f"feedback-{slot}",
            dsn_wait={name: sink.feedback.dsn_wait_days * 86_400 for name, sink in mssante.items() if sink.imap},
            alert=alert,
        )
        self._mailboxes = [box for name, sink in mssante.items() for box in self._boxes(name, sink)]

    def _boxes(self, name: str, sink: MssanteConfig) -> list[Mailbox]:
        """One for each sending mailbox of the sink."""
        house = self._house
        if sink.imap is None:
            return []
        users = {one.mailbox for one in house.config.structures.values() if one.mssante == name and one.mailbox}
        users |= {sink.mailbox} if sink.mailbox else set()
        return [
            Mailbox(
                name,
                sink.imap,
                Reports(
                    name,
                    Correlator(house.bus, house.ledger(), name),
                    sink.feedback,
                    admits=house.directory.liste_blanche.admits,
                ),
                house.bus.producer(f"mailbox-{name}-{rank}"),
                tls=sink.tls,
                user=user,
                clock=house.clock,
                observer=house.observer,
                alert=alert,
            )
            for rank, user in enumerate(sorted(users))
        ]

    def run(self, ready: Ready) -> None:
        self._house.start_directory()
        threads = [threading.Thread(target=box.run, name="mailbox", daemon=True) for box in self._mailboxes]
        for thread in threads:
            thread.start()
        ready({})
        try:
            self._worker.run()
        finally:
            for box in self._mailboxes:
                box.stop()
            for thread in threads:
                thread.join(timeout=5)

    def stop(self) -> None:
        self._worker.stop()
