"""Every command, with a message whose every printable field holds what a terminal obeys: nothing of it comes out."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from router.cli.main import app
from router.config.site import Site
from router.contracts import Row, out_topic
from router.contracts.keeping import Kept, Kind
from router.exchange import Decision, Delivery, Disposition, JournalEntry, Origin, Receipt, ReceiptKind, State
from router.printable import CONTROLS
from router.runtime.site_services import SiteServices
from router.wire import delivery_record
from tests.cli.cli import Said, command

NASTY = "\x1b]0;x\x07\x1b[2J\x9b31m\u202e\u2066\u200b\x7f[/bold][red]\nAA"
"""A window's title, a cleared screen, C1, a turned line, DEL, our own markup, a line that we did not write."""
SITE = """\
environment: qualification
data: var
admin: {port: 0}
feeds: {sil: {kind: relay, mllp: {port: 0}}}
sinks: {hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}}
encryption: {master_key: {file: master.key}}
archive: {}
"""
PIPELINE = """\
name: relais
feed: sil
sinks: {hl7.dpi: {}}
examples:
  - {name: "\\e[31m\\u202e[/bold] non", message: adt.hl7, expect: {ack: AE}}
"""
MESSAGE = "MSH|^~\\&|SIL{0}|LABO{0}|PFI|CHU|20260101||ADT^A01|{1}{0}|P|2.5\rPID|1||{0}||{0}\r"
#: Commands that show nothing a sender wrote, as the simulators do: names, counts and ports of our own.
QUIET = frozenset({"run", "console", "demo", "init", "reference", "version", "backup", "restore", "ledger migrate",
                   "keys status", "keys rotate", "cisis rules", "register rebuild", "topics migrate",
                   "cisis value-sets list", "wait-for pipelines", "wait-for ready", "audit verify"})  # fmt: skip


def _message(control_id: str) -> bytes:
    """Two lines can't be one field: a line end would end the segment."""
    return MESSAGE.format(NASTY.replace("\n", ""), control_id).encode("utf-8", "surrogateescape")


def _fill(services: SiteServices) -> None:
    """A story of one message, and a delivery of it that failed."""
    facts: dict[str, Any] = {"feed": NASTY, "control_id": "M1" + NASTY, "sender": NASTY, "source": NASTY, "ack": NASTY}
    facts |= {"dialect": NASTY, "action": NASTY, "asked": (NASTY,), "documents": (NASTY,), "warnings": (NASTY,)}
    facts |= {"decisions": (Decision(NASTY, NASTY, NASTY),), "code": NASTY, "place": NASTY, "text": NASTY}
    kinds = ("received", "duplicate", "refused", "decided", "filtered", "dead", "command")
    entries = [
        JournalEntry(event_id="e" * 64, kind=kind, at=time.time(), pipeline=NASTY, digest=NASTY, **facts)
        for kind in kinds
    ]
    receipts = [
        Receipt(
            delivery_id="d" * 32, event_id="e" * 64, sink=NASTY, kind=kind, ok=ok, at=time.time(), code=NASTY,
            place=NASTY, text=NASTY, feed=NASTY, label=NASTY, pipeline=NASTY,
            disposition=Disposition.DEAD_LETTERED if kind is ReceiptKind.DELIVERY else None,
            evidence={"message_id": NASTY, "smtp": NASTY, "hl7_ack": NASTY, "superseded_by": NASTY},
        )
        for kind in ReceiptKind
        for ok in (True, False)
    ]  # fmt: skip
    services.journal.write(entries, receipts)
    assert services.archive is not None
    services.archive.write_receipts(receipts)
    kept = Kept(delivery_id="d" * 32, event_id="e" * 64, kind=Kind.MAIL, name=NASTY[:20], parts=(NASTY.encode(),))
    services.archive.write([(kept, kept.digest())])
    made = Delivery(
        id="d" * 32, event_id="e" * 64, sink="hl7.dpi", destination="hl7", key="k", lane="k:hl7",
        payload=_message("M1"), origin=Origin("in.sil", 0, 0), feed="sil", pipeline="relais", label="x", created=1.0,
    )  # fmt: skip
    (at,) = services.bus.producer("test").publish([delivery_record(made, out_topic("hl7.dpi"))])
    nasty = Delivery(**{name: getattr(made, name) for name in Delivery.__slots__} | {"label": NASTY, "payload": b""})
    row = Row(delivery=nasty, partition=at.partition, sequence=at.offset, bytes_at=at, state=State.DEAD, attempts=2,
              code=NASTY, text=NASTY, evidence={"place": NASTY}, updated=2.0)  # fmt: skip
    ledger = services.ledger()
    ledger.open([row])
    ledger.save([row])


def write(folder: Path) -> Path:
    """A site with a story, in this folder; its site file."""
    path = folder / "router.yaml"
    path.write_text(SITE)
    (folder / "master.key").write_text("00" * 32)
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "relais.yaml").write_text(PIPELINE)
    (folder / "pipelines" / "adt.hl7").write_bytes(_message("M1"))
    (folder / "changed.yaml").write_text(PIPELINE)
    (folder / "message.hl7").write_bytes(_message("M2"))
    (folder / "wrong.yaml").write_text(SITE.replace("qualification", '"\\e[31m\\u202e[/red]"'))
    services = SiteServices(Site(path))
    _fill(services)
    services.close()
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("printable"))


@contextmanager
def _listener() -> Iterator[str]:
    """Answers one message over MLLP with an ACK that holds everything."""
    server = socket.create_server(("127.0.0.1", 0))
    told = NASTY.replace("\n", "")
    ack = f"MSH|^~\\&|A|B|C|D|20260101||ACK|1|P|2.5\rMSA|AE|{told}\rERR||{told}|{told}|E|{told}|||{told}\r"

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"\x0b" + ack.encode() + b"\x1c\r")

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        thread.join(10)
        server.close()


def _commands() -> set[str]:
    """Every command, as it is typed."""

    def under(group: Any, words: tuple[str, ...]) -> Iterator[str]:
        if hasattr(group, "commands"):
            for name, one in group.commands.items():
                yield from under(one, (*words, name))
        else:
            yield " ".join(words)

    return set(under(typer.main.get_command(app), ()))


def cases(folder: Path) -> dict[str, list[list[str]]]:
    site = ["--site", str(folder / "router.yaml")]
    both: tuple[list[str], ...] = ([], ["--json"])
    message, changed = str(folder / "message.hl7"), str(folder / "changed.yaml")
    return {
        "explain": [["e" * 64, *site, *more] for more in both] + [[NASTY, *site]],
        "search": [[*site, *more] for more in both]
        + [
            ["--recipient", NASTY, *site],
            ["--sender", NASTY, *site],
            ["--patient", NASTY, *site],
            ["--since", NASTY, *site],
        ],
        "check": [[*site, *more] for more in both] + [["--site", str(folder / "wrong.yaml")]],
        "test": [[*site, *more] for more in both],
        "try": [[changed, message, *site, *more] for more in both],
        "diff": [[changed, *site, *more] for more in both],
        "dlq ls": [[*site, *more] for more in both] + [["--sink", NASTY, *site]],
        "dlq show": [[one, *site, *more] for one in ("d" * 32, NASTY) for more in (*both, ["--content"])],
        "dlq replay": [[one, *site, "--dry-run", *more] for one in ("d" * 32, NASTY) for more in both],
        "dlq discard": [["d" * 32, "--reason", NASTY, "--dry-run", *site, *more] for more in both],
        "dlq take-back": [["d" * 32, "--reason", NASTY, "--dry-run", *site, *more] for more in both],
        "audit ls": [[*site, *more] for more in both] + [["--action", NASTY, *site], ["--who", NASTY, *site]],
        "audit export": [[*site, "--reason", NASTY, "--format", form] for form in ("csv", "jsonl")],
        "traces export": [[*site, "--reason", NASTY, "--format", form] for form in ("csv", "jsonl")],
        "withdraw": [[NASTY, "--reason", NASTY, "--dry-run", *site, *more] for more in both],
        "impact": [[NASTY, *site, *more] for more in both],
        "directory import": [[message, *site, *more] for more in both] + [[NASTY, *site]],
        "directory refresh": [[*site, *more] for more in both],
        "directory find": [[NASTY, *site, *more] for more in both] + [[f"{NASTY}@b.fr", *site]],
        "directory explain": [["10000000001", *site, *more] for more in both] + [[NASTY, *site]],
        "directory check": [[*site, *more] for more in both] + [["--last", *site]],
        "archive show": [[one, *site, *more] for one in ("d" * 32, NASTY) for more in both],
        "archive read": [[NASTY, "--reason", NASTY, *site]],
        "archive verify": [[*site, *more] for more in both],
        "archive purge": [[*site, *more] for more in both],
        "topics plan": [[*site, *more] for more in both],
        "topics apply": [site],
        "access ls": [[*site, *more] for more in both],
        "access add": [[NASTY, "--right", right, "--stdin", *site] for right in (NASTY, "*=reader")],
        **{
            f"access {name}": [[NASTY, *more, *site]]
            for name, more in {"rights": ["--right", NASTY], "password": ["--stdin"]}.items()
        },
        **{f"access {name}": [[NASTY, *site]] for name in ("totp", "lock", "unlock", "remove")},
        "token create": [[NASTY, "--scope", NASTY, "--feed", NASTY, "--expires", NASTY, *site]],
        "token ls": [["--all", *site, *more] for more in both],
        "token revoke": [[NASTY, *site]],
        "status": [[*site, *more] for more in both],
        "doctor": [[*site, "--only", "site,keys,peers", *more] for more in (*both, ["--all"])]
        + [["--only", NASTY, *site], ["--site", str(folder / "wrong.yaml")]],
    }


def _shows_nothing_to_obey(said: Said, words: list[str]) -> None:
    assert said.code != 4, (words, said.err)
    for text in (said.out, said.err):
        assert not CONTROLS.search(text.replace("\n", "").replace("\t", "")), (words, text)
        assert "\nAA" not in text, words


def test_no_command_lets_a_senders_text_reach_the_terminal(site: Path) -> None:
    """Tables, sentences, markup, JSON: escapes are shown, lines are not made."""
    for name, all_words in cases(site.parent).items():
        for words in all_words:
            _shows_nothing_to_obey(command(*name.split(), *words), [name, *words])


def test_the_story_is_told_all_the_same(site: Path) -> None:
    """What a terminal would obey is shown as its code, and a program reads the values whole."""
    assert r"Message M1\x1b]0;x\x07" in command("explain", "e" * 64, "--site", str(site)).out
    (story,) = json.loads(command("explain", "e" * 64, "--json", "--site", str(site)).out)
    assert story["event"]["control_id"] == "M1" + NASTY


def test_what_a_listener_answers_is_shown(site: Path) -> None:
    for more in ([], ["--json"]):
        with _listener() as address:
            said = command("send", str(site.parent / "message.hl7"), "--to", address, *more)
        _shows_nothing_to_obey(said, ["send", *more])
        assert said.code == 1


def test_what_a_document_says_is_shown(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences of the Schematron quote the document; so do the names of imported value sets."""
    failure = SimpleNamespace(place=NASTY, text=NASTY)
    monkeypatch.setattr("router.cda.audit.audit", lambda *_: SimpleNamespace(failures=[failure], rules=1))
    change = SimpleNamespace(key=NASTY, changed=True, before=NASTY, after=NASTY, added=[NASTY], removed=[],
                             relabelled=[(NASTY, NASTY, NASTY)])  # fmt: skip
    found = SimpleNamespace(changes=[change], problems=[NASTY])
    monkeypatch.setattr("router.cisis.valuesets_import.import_official", lambda *_, **__: found)
    _shows_nothing_to_obey(command("cda", "audit", str(site), str(site)), ["cda audit"])
    _shows_nothing_to_obey(command("valuesets", "import", str(site), "--dry-run"), ["valuesets import"])
    _shows_nothing_to_obey(command("cisis", "value-sets", "update", str(site), "--dry-run"), ["value-sets update"])


def test_every_command_is_tried(site: Path) -> None:
    """A new command has its case above, or is known to show nothing that a sender wrote."""
    tried = {*cases(site.parent), "send", "cda audit", "valuesets import", "cisis value-sets update"}
    assert {name for name in _commands() if not name.startswith("simulate ")} == tried | QUIET
