"""A site whose disk is sealed: its messages, its backups, its keys, its archive, as its operator meets them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from router.audit.event import Action
from router.audit.rows import Wanted
from router.contracts.keeping import Kept, Kind
from router.errors import ConfigFault, OperatorFault
from router.exchange import Delivery, State
from router.runtime.backup.make import backup
from router.runtime.backup.restore import restore
from router.runtime.doctor.check import Installation
from router.runtime.doctor.encryption import look
from tests.cli.cli import command
from tests.engine.sinks import delivery
from tests.runtime.stage import SINK, SITE, Stage

SECRET = b"MSH|^~\\&|PID 187000000000000"
OLD, NEW = "11" * 32, "22" * 32
BOTH = "encryption: {master_key: {file: new.key}, earlier: {before: {file: old.key}}}\n"
ALONE = "encryption: {master_key: {file: new.key}}\n"
SEALED = "encryption: {master_key: {file: old.key}}\n"


def write(folder: Path, section: str) -> None:
    (folder / "router.yaml").write_text(SITE + section)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    folder = tmp_path / "site"
    (folder / "pipelines").mkdir(parents=True)
    for name, key in (("old", OLD), ("new", NEW)):
        (folder / f"{name}.key").touch(mode=0o600)
        (folder / f"{name}.key").write_text(key)
    stage = Stage(folder, SITE + SEALED)
    stage.start()
    yield stage
    stage.close()


def letters(first: int, last: int) -> list[Delivery]:
    return [delivery(number, f"lane-{number}", sink=SINK, payload=SECRET) for number in range(first, last)]


def held(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_backup_needs_the_master_key_and_does_not_hold_it(stage: Stage) -> None:
    """What was sealed is delivered after a restore; without the master key, or with another, nothing is restored."""
    stage.publish(*(sent := letters(1, 3)))
    source = backup(stage.services, stage.folder / "backups").folder
    assert SECRET not in held(stage.folder / "var") + held(source)
    assert OLD.encode() not in held(source) and bytes.fromhex(OLD) not in held(source)
    stage.close()
    shutil.rmtree(stage.folder / "var")
    key = stage.folder / "old.key"
    for how, code in ((key.unlink, "SECRET"), (lambda: key.write_text(NEW), "SEALING-WRONG-MASTER")):
        how()
        with pytest.raises(OperatorFault, match=code):
            restore(stage.folder / "router.yaml", source, alert=stage.alert)
        assert not (stage.folder / "var" / "bus.db").exists()
    key.write_text(OLD)
    restore(stage.folder / "router.yaml", source, alert=stage.alert, moved=True)
    stage.open()
    stage.deliver(*sent)
    assert [call.delivery.payload for call in stage.sink.calls] == [SECRET] * 2


def test_a_rotation_while_messages_flow(stage: Stage) -> None:
    """The site file changes under a router that works on: every message is delivered, none is read with a lost key."""
    site = stage.folder / "router.yaml"
    sent = letters(1, 13)
    stage.publish(*sent[:3])
    write(stage.folder, BOTH)
    assert command("keys", "status", "--json", "--site", str(site)).json["lacking"] == 1
    stage.publish(*sent[3:6])
    assert "1 " in command("keys", "rotate", "--site", str(site)).out
    stage.publish(*sent[6:9])
    assert command("keys", "rotate", "--retire", "--json", "--site", str(site)).json["by_master"].keys() == {
        command("keys", "status", "--json", "--site", str(site)).json["writes"]
    }
    write(stage.folder, ALONE)
    (stage.folder / "old.key").unlink()
    stage.publish(*sent[9:])
    stage.deliver(*sent[:6])
    stage.close()
    stage.open()  # with the new master key alone
    stage.deliver(*sent)
    assert stage.delivered() == sorted(one.id for one in sent)
    assert all(call.delivery.payload == SECRET for call in stage.sink.calls)
    kinds = [row.event.kind for row in stage.services.audit.search(Wanted())]
    assert kinds == ["master-key"] * 2
    assert command("keys", "status", "--site", str(site)).code == 0


def test_encryption_is_turned_on_and_off(stage: Stage) -> None:
    """Clear and sealed records side by side; without any key nothing starts, in a sentence."""
    sent = letters(1, 7)
    stage.publish(*sent[:2])
    stage.close()
    write(stage.folder, SEALED.replace("}}", "}, bus: false}"))
    stage.open()
    stage.publish(*sent[2:4])
    assert SECRET in held(stage.folder / "var")
    stage.close()
    write(stage.folder, "")
    with pytest.raises(OperatorFault, match="SEALING-OFF"):
        stage.open()
    stage.close()
    write(stage.folder, SEALED)
    stage.open()
    stage.publish(*sent[4:])
    stage.deliver(*sent)
    assert stage.delivered() == sorted(one.id for one in sent)


def test_a_record_that_was_changed_is_a_dead_letter(stage: Stage) -> None:
    """It holds up no other; what is told is a code, and the delivery of the next message goes on."""
    first, second = letters(1, 3)
    stage.publish(first, second)
    with closing(sqlite3.connect(stage.folder / "var" / "bus.db")) as file:
        file.execute("UPDATE records SET value=x'00' WHERE headers LIKE ?", (f"%{first.id}%",))
        file.commit()
    stage.deliver(second)
    assert stage.delivered() == [second.id]
    assert (stage.state(first), stage.state(second)) == (None, State.DONE)
    dead = [record.headers["code"] for record in stage.bus.scan(f"dlq.{SINK}")]
    assert dead == ["SEALED-DAMAGED"]


def test_what_left_is_shown_read_and_verified(stage: Stage) -> None:
    """By commands: without a reason nothing is read, with one there is a line in the audit first."""
    site = stage.folder / "router.yaml"
    stage.close()
    write(stage.folder, SEALED + "archive: {content_days: 7, kinds: {zam: 0}}\n")
    stage.open()
    kept = Kept(delivery_id="d1", event_id="e1", kind=Kind.MAIL, parts=(SECRET,))
    digest = asyncio.run(stage.services.keeper.keep(kept))
    stage.close()
    shown = command("archive", "show", "d1", "--json", "--site", str(site)).json
    (item,) = shown["items"]
    assert (item["sha256"], item["kind"], item["size"], item["stored"]) == (digest, "mail", len(SECRET), True)
    screen = command("archive", "show", "d1", "--site", str(site)).out
    assert digest in screen and "187000000000000" not in screen
    out = stage.folder / "mail.eml"
    assert command("archive", "read", item["id"], "--reason", " ", "--to", str(out), "--site", str(site)).code == 2
    assert not out.exists()
    why = "call of the practice, mail not found"
    assert command("archive", "read", item["id"], "--reason", why, "--to", str(out), "--site", str(site)).code == 0
    assert out.read_bytes() == SECRET
    assert command("archive", "verify", "--site", str(site)).code == 0
    (stored,) = (path for path in (stage.folder / "var" / "archive").rglob("*") if path.is_file())
    stored.write_bytes(stored.read_bytes()[:-1])
    broken = command("archive", "verify", "--site", str(site))
    assert (broken.code, "ARCHIVE-DAMAGED" in broken.out) == (1, True)
    assert command("archive", "purge", "--json", "--site", str(site)).json["contents"] == 0
    stage.open()
    (line,) = [row.event for row in stage.services.audit.search(Wanted(kind="archive"))]
    assert (line.action, line.object, line.reason) == (Action.VIEWED, item["id"], why)


def test_an_archive_needs_encryption(stage: Stage) -> None:
    """Nothing is kept in clear for years: the site file is refused."""
    stage.close()
    write(stage.folder, "archive: {}\n")
    with pytest.raises(ConfigFault, match="archive: needs `encryption`"):
        stage.open()
    write(stage.folder, SEALED)
    stage.open()


def test_doctor_looks_at_the_master_key(stage: Stage) -> None:
    """Right, open to others, beside what it opens, another one, none."""
    installation = Installation(stage.services.site, running=False)
    assert [one.level for one in look(installation)] == ["good"]
    (stage.folder / "old.key").chmod(0o644)
    assert [one.level for one in look(installation)] == ["wrong", "good"]
    (stage.folder / "old.key").chmod(0o600)
    (stage.folder / "old.key").write_text(NEW)
    assert [one.subject for one in look(installation)] == ["SEALING-WRONG-MASTER encryption"]
    (stage.folder / "old.key").write_text(OLD)
