"""The feedback's role."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, replace

from router.config.site_models import SiteConfig
from router.feedback.answers import Endpoint
from router.feedback.attempts import Attempts
from router.feedback.correlate import Correlator
from router.feedback.mailbox import Mailbox
from router.feedback.proofs import Proofs
from router.feedback.reports import Reports
from router.feedback.worker import FeedbackWorker
from router.runtime.roles import Ready
from router.runtime.roles.event_loop import alert
from router.runtime.site_services import SiteServices
from router.sinks.mssante.discovery import Discovery
from router.sinks.mssante.settings import FeedbackRules, ImapConfig, MssanteConfig, SrvConfig, TlsConfig
from router.sinks.mssante.sink_type import MSSANTE


class FeedbackRole:
    """Receipts to business acknowledgements, and the mailboxes where DSN and MDN arrive."""

    def __init__(self, services: SiteServices, slot: int) -> None:
        self._services = services
        config = services.config
        endpoints = {
            name: Endpoint(feed.reply, feed.dmp_error_system) for name, feed in config.feeds.items() if feed.reply
        }
        mssante = {name: sink for name, sink in config.sinks.items() if isinstance(sink, MssanteConfig)}
        self._worker = FeedbackWorker(
            services.bus,
            services.ledger(),
            endpoints,
            clock=services.clock,
            observer=services.observer,
            member=f"feedback-{slot}",
            dsn_wait={name: sink.feedback.dsn_wait_days * 86_400 for name, sink in mssante.items() if sink.imap},
            alert=alert,
        )
        self._mailboxes = [self._mailbox(rank, inbox) for rank, inbox in enumerate(inboxes(config))]

    def _mailbox(self, rank: int, inbox: Inbox) -> Mailbox:
        services = self._services
        ledger = services.ledger()
        correlator = Correlator(services.bus, ledger, inbox.rules, services.pseudonyms)
        return Mailbox(
            inbox.sinks[0],
            inbox.imap,
            Reports(correlator, Proofs(ledger), inbox.rules, admits=services.directory.liste_blanche.admits),
            services.bus.producer(f"mailbox-{rank}"),
            tls=inbox.tls,
            user=inbox.user,
            authzid=inbox.authzid,
            clock=services.clock,
            observer=services.observer,
            alert=alert,
            attempts=Attempts(services.data("mailbox") / f"{_name(inbox)}.reading"),
            discovery=inbox.discovery,
            number=rank,
            keeper=services.keeper,
        )

    def run(self, ready: Ready) -> None:
        self._services.start_directory()
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


def _name(inbox: Inbox) -> str:
    """A file name that stays this inbox's own, whatever is added to the site."""
    return hashlib.sha256("|".join(inbox.imap.account(inbox.user, inbox.tls)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where reports arrive of mails that some sinks sent, each with its `rules`. `imap`, `tls`, `srv`: the first one's.

    authzid: the account to ask for with the certificate, where it opens several; "": the one that it opens
    """

    user: str
    imap: ImapConfig
    tls: TlsConfig
    rules: dict[str, FeedbackRules]
    authzid: str = ""
    srv: SrvConfig | None = None

    @property
    def discovery(self) -> Discovery | None:
        """Asks DNS where the server is, when the site wants it."""
        return Discovery(self.srv, "imap", self.imap.mode, self.imap.host) if self.srv is not None else None

    @property
    def sinks(self) -> list[str]:
        return list(self.rules)


def inboxes(config: SiteConfig) -> list[Inbox]:
    """Each one once: several sinks may send from one mailbox.

    Read by two, each report would be told twice, or put in quarantine by the sink that it doesn't concern. A
    certificate that opens the mailboxes of several structures opens one at a time: the one that is asked for by name.
    """
    found: dict[tuple[str, ...], Inbox] = {}
    for name, sink in config.sinks.items():
        if not isinstance(sink, MssanteConfig) or sink.imap is None:
            continue
        served = [one for one in config.structures.values() if one.sink_of(MSSANTE.name) == name]
        users = set().union(*(one.mailboxes() for one in served))
        users |= {sink.mailbox} if sink.mailbox else set()
        for user in sorted(users):
            first = Inbox(user, sink.imap, sink.tls, {}, srv=sink.decouverte_srv)
            inbox = found.setdefault(sink.imap.account(user, sink.tls), first)
            inbox.rules[name] = sink.feedback
    shared = Counter((*account[:3], account[4]) for account in found)
    return [
        replace(inbox, authzid=inbox.user) if account[2] and shared[(*account[:3], account[4])] > 1 else inbox
        for account, inbox in found.items()
    ]
