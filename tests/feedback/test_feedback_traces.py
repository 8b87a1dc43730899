"""What is done in a mailbox stands in the traces: each command with its answer (mssante §11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from imapclient.exceptions import IMAPClientError

from router.contracts import JOURNAL, Outgoing, Record
from router.errors import Unavailable
from router.exchange import JournalEntry, Spoken
from router.feedback.imap_traces import ImapTraces
from router.wire import read_journal


class Bus:
    """Takes records unless it is away."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.away = False

    def publish(self, records: Sequence[Outgoing]) -> None:
        if self.away:
            raise Unavailable("BUS-AWAY")
        self.records += records

    def entries(self) -> list[JournalEntry]:
        made = [Record(one.topic, 0, 0, one.key, one.value, one.headers, 0.0) for one in self.records]
        assert {one.topic for one in made} <= {JOURNAL}
        return [read_journal(one) for one in made]

    def spoken(self) -> list[Spoken]:
        return [one for entry in self.entries() for one in entry.spoken]


class Client:
    """An IMAP session that can do what it is told, or nothing."""

    def __init__(self, *capabilities: str, fails: str = "") -> None:
        self.capabilities, self.fails = capabilities, fails

    def has_capability(self, name: str) -> bool:
        return name in self.capabilities

    def __getattr__(self, name: str) -> Any:
        def command(*_: Any) -> None:
            if name == self.fails:
                raise IMAPClientError("no")

        return command


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def traces(bus: Bus) -> ImapTraces:
    return ImapTraces("imap.example:993", "labo@chu.mssante.fr", cast(Any, bus), lambda: 7.0)


def look(traces: ImapTraces, client: Client, move: bool = True) -> None:
    with traces.session():
        with traces.said("SELECT", "INBOX"):
            pass
        if move:
            traces.move(cast(Any, client), 12, "Traites")


def test_a_mail_that_is_moved_is_told(traces: ImapTraces, bus: Bus) -> None:
    """With the look before it: who, which server, which mail, and that it was done."""
    look(traces, Client("MOVE"))
    assert [(one.action, one.request, one.answer, one.ok) for one in bus.spoken()] == [
        ("SELECT", "INBOX", "OK", True),
        ("MOVE", "uid=12 to=Traites", "OK", True),
    ]
    assert {(one.protocol, one.server, one.author, one.at) for one in bus.spoken()} == {
        ("imap", "imap.example:993", "labo@chu.mssante.fr", 7.0)
    }


def test_a_server_without_move_is_told_command_by_command(traces: ImapTraces, bus: Bus) -> None:
    """Copied, flagged as deleted, expunged."""
    look(traces, Client("UIDPLUS"))
    assert [one.action for one in bus.spoken()] == ["SELECT", "COPY", "STORE", "EXPUNGE"]


def test_an_empty_mailbox_is_not_told_and_a_failure_is(traces: ImapTraces, bus: Bus) -> None:
    """A look every minute at nothing would drown the rest."""
    look(traces, Client(), move=False)
    assert bus.records == []
    with pytest.raises(IMAPClientError):
        look(traces, Client("MOVE", fails="move"))
    assert (bus.spoken()[-1].action, bus.spoken()[-1].answer, bus.spoken()[-1].ok) == ("MOVE", "NO", False)


def test_what_the_bus_does_not_take_is_told_later(traces: ImapTraces, bus: Bus) -> None:
    """Once, when it is back."""
    bus.away = True
    look(traces, Client("MOVE"))
    bus.away = False
    look(traces, Client(), move=False)
    look(traces, Client(), move=False)
    assert [one.action for one in bus.spoken()] == ["SELECT", "MOVE"]
