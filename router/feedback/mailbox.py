"""The mailbox of a sending BAL, read by IMAP: reports become receipts, then the mail is moved (mssante §8.6).

Order matters: receipts are durable before the mail leaves the inbox. A crash between the two reads the report again
and gives the same receipt again, which changes nothing. A mail is never answered, and never lost.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from router.contracts import Alert, Clock, Observer, Producer
from router.contracts.keeping import Keeper, KeepsNothing, Kept
from router.contracts.keeping import Kind as Proof
from router.errors import OperatorFault, RouterError, Unavailable
from router.exchange import ReceiptKind
from router.feedback.attempts import Attempts
from router.feedback.imap import AnswerTooLarge, opened
from router.feedback.imap_traces import ImapTraces
from router.feedback.reading import digest
from router.feedback.reports import Handled, Kind, Place, Reports
from router.language import filled
from router.sinks.mssante.discovery import Discovery, Fixed, Ways
from router.sinks.mssante.settings import ImapConfig, TlsConfig
from router.wire import receipt_record

log = logging.getLogger(__name__)

MAX_PAUSE: Final = 600.0
_KINDS: Final = {ReceiptKind.DSN: Proof.DSN, ReceiptKind.MDN: Proof.MDN}
_KEPT_SECONDS: Final = 5.0
"""How long the move of a mail waits for the archive; while that is away, the next ones do not wait."""


class Mailbox:
    """Polls one mailbox, in a thread of its own.

    sink: the one whose configuration it is, for logs and metrics
    user: whose mailbox it is when the configuration names none
    authzid: the account asked for when the certificate logs in (SASL EXTERNAL); "": whichever it opens
    attempts: remembers over a restart which mail was being read; default: nothing is remembered
    discovery: says where the server is; default: where the configuration says
    number: of the mailbox in the site, from 0: its label in metrics
    keeper: takes the reports themselves; default: they are not kept
    """

    def __init__(
        self,
        sink: str,
        config: ImapConfig,
        reports: Reports,
        producer: Producer,
        *,
        tls: TlsConfig,
        user: str,
        authzid: str = "",
        clock: Clock,
        observer: Observer,
        alert: Alert,
        attempts: Attempts | None = None,
        discovery: Discovery | None = None,
        number: int = 0,
        keeper: Keeper | None = None,
    ) -> None:
        self._sink = sink
        self._labels = {"sink": sink, "mailbox": str(number)}
        self._config = config
        self._reports = reports
        self._producer = producer
        self._tls = config.tls or tls
        self._user = config.login.user or user
        self._authzid = config.login.user or authzid
        self._clock = clock
        self._observer = observer
        self._alert = alert
        self._keeper = keeper or KeepsNothing()
        self._patience = _KEPT_SECONDS
        self._attempts = attempts or Attempts(None)
        self._discovery = discovery
        self._traces = ImapTraces(f"{config.host}:{config.port}", self._user, producer, clock.now)
        self._stop = threading.Event()
        self._failed: Counter[int] = Counter()
        """Mails that the server could not give or move, by number: they come last, and hold up no other."""
        self._told: dict[int, Handled] = {}
        """Those whose receipts are durable, and that only wait to be moved."""
        self._validity: int | None = None

    def run(self) -> None:
        """Read until `stop`. An absent server is waited for; what configuration must cure raises an alert."""
        pause, away = self._config.poll_seconds, False
        while not self._stop.is_set():
            try:
                while self.poll() >= self._config.max_each_poll and not self._stop.is_set():
                    pass
                if away:
                    self._alert("mailbox-readable", {"sink": self._sink})
                away = False
                pause = self._config.poll_seconds
                self._observer.set("mailbox_ok", 1, **self._labels)
            except OperatorFault as fault:
                self._unread()
                self._alert("mailbox can't be read", {"sink": self._sink, "code": fault.code, "place": fault.place})
                pause, away = min(pause * 2, MAX_PAUSE), True
            except Unavailable as fault:
                self._unread()
                log.warning("mailbox of %s not read: %s", self._sink, fault)
                pause, away = min(pause * 2, MAX_PAUSE), True
            except Exception as error:  # a thread that ended would leave every later report unread
                self._unread()
                self._alert("mailbox can't be read", {"sink": self._sink, "code": f"BUG-{type(error).__name__}"})
                pause, away = min(pause * 2, MAX_PAUSE), True
            self._stop.wait(pause)
        self._producer.close()

    def _unread(self) -> None:
        self._observer.set("mailbox_ok", 0, **self._labels)

    def stop(self) -> None:
        """Ask `run` to return; any thread."""
        self._stop.set()

    def poll(self) -> int:
        """Read what is in the inbox, once. Returns how many mails were handled.

        Raises `Unavailable` (server, bus or ledger away) or `OperatorFault` (login, certificate).
        """
        with foreign(), self._traces.session(), self._session() as client:
            self._folders(client)
            with self._traces.said("SELECT", self._config.inbox):
                validity = client.select_folder(self._config.inbox).get(b"UIDVALIDITY")
            if validity is None or validity != self._validity:  # the same number may be another mail
                self._failed.clear()
                self._told.clear()
            self._validity = validity
            found = client.search("ALL")
            self._age(client, found)
            self._failed = Counter({number: self._failed[number] for number in found if number in self._failed})
            self._told = {number: self._told[number] for number in found if number in self._told}
            numbers = sorted(found, key=lambda number: number in self._failed)[: self._config.max_each_poll]
            for number in numbers:
                if self._stop.is_set():
                    break
                self._tried(client, number)
            if numbers:
                self._age(client, client.search("ALL"))
            return sum(number not in self._failed for number in numbers)

    def _age(self, client: IMAPClient, found: Sequence[int]) -> None:
        """Measure when the oldest mail of the inbox arrived: it is there until its report is told, or a person's."""
        arrived = self._clock.now()
        if found:
            first = min(found)
            moment = client.fetch([first], ["INTERNALDATE"]).get(first, {}).get(b"INTERNALDATE")
            arrived = min(arrived, moment.timestamp()) if isinstance(moment, datetime) else arrived
        self._observer.set("oldest_unread_mail_timestamp_seconds", arrived, **self._labels)

    def _tried(self, client: IMAPClient, number: int) -> None:
        """Handle one mail. One at which the server fails again stays where it is: the next ones have their turn."""
        try:
            self._one(client, number)
        except (IMAPClientError, OSError) as error:
            self._failed[number] += 1
            times = self._failed[number]
            if times < 2 or isinstance(error, IMAPClientAbortError | OSError):
                if times == 2:
                    self._stays(error)
                raise
            self._set_aside(client, number, error)
        else:
            self._failed.pop(number, None)

    def _set_aside(self, client: IMAPClient, number: int, error: Exception) -> None:
        """A mail that the server could not give twice goes to quarantine unread; else it stays where it is."""
        if number not in self._told:
            try:
                self._traces.move(client, number, self._folder(Place.QUARANTINE))
            except IMAPClientAbortError:
                raise
            except IMAPClientError:
                pass
            else:
                self._failed.pop(number, None)
                self._counted(Handled(Kind.UNKNOWN, Place.QUARANTINE, why=f"can't be read ({type(error).__name__})"))
                return
        if self._failed[number] == 2:
            self._stays(error)

    def _stays(self, error: Exception) -> None:
        why = f"can't be read ({type(error).__name__})"
        self._alert("mail stays in the inbox", {"sink": self._sink, "kind": str(Kind.UNKNOWN), "why": why})

    def _one(self, client: IMAPClient, number: int) -> None:
        handled = self._told.get(number) or self._handled(client, number)
        if handled is None:
            return  # somebody else has moved it
        self._told[number] = handled
        self._traces.move(client, number, self._folder(handled.place))
        del self._told[number]
        self._counted(handled)

    def _counted(self, handled: Handled) -> None:
        """Measure a mail that has left the inbox, and tell people of what is theirs to look at."""
        self._observer.count("mail_read_total", sink=self._sink, kind=str(handled.kind))
        if handled.place is not Place.DONE:
            facts = {"sink": self._sink, "kind": str(handled.kind), "why": handled.why, **handled.facts}
            what = "mail for a person" if handled.place is Place.HUMAN else "report in quarantine"
            self._alert(what, facts)

    def _handled(self, client: IMAPClient, number: int) -> Handled | None:
        """What a mail is, once its receipts are durable; None when it is gone."""
        size = client.fetch([number], ["RFC822.SIZE"]).get(number, {}).get(b"RFC822.SIZE", 0)
        if size > self._config.max_mail_bytes:
            handled = Handled(Kind.UNKNOWN, Place.QUARANTINE, why="too large to be a report")
        else:
            raw = self._body(client, number)
            if raw is None:
                return None
            handled = self._archived(self._read(raw), raw)
        if handled.receipts:
            self._producer.publish([receipt_record(receipt) for receipt in handled.receipts])
            self._reports.remember(handled, self._clock.now())
        return handled

    def _archived(self, handled: Handled, raw: bytes) -> Handled:
        """The same, with the digest of the report in its receipts, once it is kept for each delivery that it tells of.

        The mail is moved afterwards: after a kill it is still in the inbox, and is kept at the next look. An archive
        that is away is waited for once, unless it is required: then this raises `Unavailable`.
        """
        receipts = []
        for receipt in handled.receipts:
            if (kind := _KINDS.get(receipt.kind)) is not None:
                kept = Kept(delivery_id=receipt.delivery_id, event_id=receipt.event_id, kind=kind, parts=(raw,))
                known = {"report_sha256": said} if (said := self._keeper.keep_now(kept)) else {}
                receipt = replace(receipt, evidence={**receipt.evidence, **known})  # noqa: PLW2901
            receipts.append(receipt)
        if receipts:
            self._patience = _KEPT_SECONDS if self._keeper.settled(self._patience) else 0.0
        return replace(handled, receipts=tuple(receipts))

    def _body(self, client: IMAPClient, number: int) -> bytes | None:
        """The mail, no byte more than we read of one, whatever size the server has told; None when it is gone."""
        part = f"BODY.PEEK[]<0.{self._config.max_mail_bytes}>"
        with self._traces.said("FETCH", f"uid={number}"):
            raw: bytes | None = client.fetch([number], [part]).get(number, {}).get(b"BODY[]<0>")
        return raw if raw is None else raw[: self._config.max_mail_bytes]

    def _read(self, raw: bytes) -> Handled:
        """A mail whose reading was begun and never ended, by this process or one before it, is not read again."""
        mark = digest(raw)
        if self._attempts.unfinished(mark):
            self._attempts.forget(mark)
            return Handled(Kind.UNKNOWN, Place.QUARANTINE, why="its reading was begun before and never ended")
        try:
            with self._attempts.reading(mark):
                found = self._reports.read(raw)
            return self._reports.judge(found, self._clock.now())
        except RouterError:
            raise
        except Exception as error:  # a stranger's mail must never stop the mailbox
            log.error("a mail could not be read: %s", type(error).__name__)
            return Handled(Kind.UNKNOWN, Place.QUARANTINE, why=f"reader failed ({type(error).__name__})")

    # ----------------------------------------------------------------------------------------------- session

    @contextmanager
    def _session(self) -> Iterator[IMAPClient]:
        config = self._config
        client = self._connected(self._discovery or Fixed(config.host, config.port))
        try:
            with self._traces.said("LOGIN", config.login.auth):
                self._login(client)
            yield client
        except (IMAPClientAbortError, OSError):
            _end(client)  # a server that broke off, or is too slow, is not asked once more
            raise
        finally:
            _leave(client)

    def _connected(self, source: Discovery | Fixed) -> IMAPClient:
        """TLS included, to the first server that can be reached."""
        ways = Ways(source, source.places())
        for way in ways:
            with ways.tried(), foreign(), self._traces.said("CONNECT", self._config.mode):
                return opened(way, self._config, self._tls)
        raise ways.fault

    def _login(self, client: IMAPClient) -> None:
        login = self._config.login
        if login.auth == "externe":
            client.sasl_login("EXTERNAL", lambda _: self._authzid.encode())  # RFC 4422
        elif login.auth == "plain":
            client.plain_login(self._user, login.password.read() if login.password else "")
        elif login.auth == "login":
            client.login(self._user, login.password.read() if login.password else "")
        elif login.auth == "xoauth2":
            client.oauth2_login(self._user, login.token.read() if login.token else "")

    def _folders(self, client: IMAPClient) -> None:
        for place in Place:
            if not client.folder_exists(self._folder(place)):
                client.create_folder(self._folder(place))

    def _folder(self, place: Place) -> str:
        config = self._config
        return {Place.DONE: config.done, Place.QUARANTINE: config.quarantine, Place.HUMAN: config.human}[place]


def _leave(client: Any) -> None:
    try:
        client.logout()
    except (IMAPClientError, OSError):
        _end(client)


def _end(client: Any) -> None:
    try:
        client.shutdown()
    except (IMAPClientError, OSError):
        log.debug("IMAP connection already gone")


@contextmanager
def foreign() -> Iterator[None]:
    """Nothing of imapclient, ssl or the socket leaves this module."""
    try:
        yield
    except LoginError as error:
        raise OperatorFault("MSS-IMAP", "LOGIN", "le serveur IMAP refuse notre authentification") from error
    except AnswerTooLarge as error:
        raise Unavailable("MSS-IMAP-SIZE", "", "le serveur IMAP envoie plus que ce qui est demandé") from error
    except IMAPClientError as error:
        raise Unavailable(
            "MSS-IMAP", "", filled("le serveur IMAP a répondu une erreur ({error})", error=type(error).__name__)
        ) from error
    except OSError as error:
        if "CERTIFICATE" in str(error).upper():
            raise OperatorFault("MSS-IMAP", "TLS", "certificat refusé : le nôtre, ou celui du serveur") from error
        raise Unavailable(
            "MSS-IMAP", "", filled("le serveur IMAP ne répond pas ({error})", error=type(error).__name__)
        ) from error
