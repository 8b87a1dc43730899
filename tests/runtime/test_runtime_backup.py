"""`backup` and `restore`: a copy that is whole whoever writes meanwhile, and a way back that repeats nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from router.config.site import Site
from router.contracts import Outgoing, Row, in_topic, out_topic
from router.engine.dead_letters import listing, operator_commands, paging
from router.errors import OperatorFault
from router.exchange import Delivery, Origin, State
from router.hl7.message import Message
from router.language import in_language, translated
from router.register.patient import ipp_pseudonym
from router.request import Identifier
from router.runtime.backup import manifest
from router.runtime.backup.make import backup
from router.runtime.backup.migrate import migrate
from router.runtime.backup.restore import Restored, restore
from router.runtime.backup.verify import verify
from router.runtime.supervisor.router_process import RouterProcess
from router.runtime.tenure import Tenure
from router.simulators.sender.maker import Maker
from tests.engine.sinks import delivery
from tests.runtime.stage import SINK, Stage, some

PIPELINE = f"name: gam\nfeed: gam\nsinks: {{{SINK}: {{}}}}\n"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "site")
    (stage.folder / "pipelines").mkdir()
    (stage.folder / "pipelines" / "gam.yaml").write_text(PIPELINE)
    stage.start()
    yield stage
    stage.close()


def taken(stage: Stage) -> Path:
    return backup(stage.services, stage.folder / "backups").folder


def again(stage: Stage, source: Path, *, keep_bus: bool = False, moved: bool = False) -> Restored:
    """The data folder is lost, and restored."""
    stage.close()
    kept = stage.folder / "kept"
    if keep_bus:
        kept.mkdir()
        for path in (stage.folder / "var").glob("bus.db*"):
            path.rename(kept / path.name)
    shutil.rmtree(stage.folder / "var")
    if keep_bus:
        kept.rename(stage.folder / "var")
    done = restore(stage.folder / "router.yaml", source, alert=stage.alert, keep_bus=keep_bus, moved=moved)
    stage.open()
    return done


def order(stage: Stage) -> list[str]:
    """A person says: send what is held. Returns the ids of those."""
    which = listing.Filter(code="UNKNOWN-HELD")
    held = paging.letters(stage.bus, stage.ledger, which, sinks=[SINK])
    assert paging.letters(stage.bus, stage.ledger, sinks=[SINK]) == []  # they are no dead letters
    assert paging.letters(stage.bus, stage.ledger, listing.Filter(id=held[0].cause), sinks=[SINK]) == held
    with closing(stage.bus.producer("operator")) as producer:
        answers = list(operator_commands.replay(stage.bus, stage.ledger, held, by="ann", producer=producer))
    assert all(answer.accepted for answer in answers)
    return [letter.delivery_id for letter in held]


# ----------------------------------------------------------------------------------------------- the copy


def test_a_backup_is_whole_while_others_write(stage: Stage) -> None:
    """Of every delivery that its ledger knows, its bus has the bytes; each file is ours alone, and whole."""
    stop, written = threading.Event(), 0
    _ = stage.services.journal, stage.services.register

    def write() -> None:
        nonlocal written
        producer = stage.services.bus.producer("other")
        with closing(stage.services.ledger()) as ledger:
            while not stop.is_set():
                one = delivery(written, f"lane-{written}", sink=SINK, payload=b"x" * 2000)
                (at,) = producer.publish([Outgoing(out_topic(SINK), one.key, one.payload, {"delivery": one.id})])
                bare = Delivery(**{n: getattr(one, n) for n in Delivery.__slots__} | {"payload": b""})
                ledger.open([Row(delivery=bare, partition=at.partition, sequence=at.offset, bytes_at=at)])
                written += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        folders = [taken(stage)]
        while written < 50:
            pass
        folders.append(backup(stage.services, stage.folder / "more", thorough=True).folder)
    finally:
        stop.set()
        thread.join()
    for folder in folders:
        said = verify(folder)
        with (
            closing(sqlite3.connect(folder / "ledger.db")) as ledger,
            closing(sqlite3.connect(folder / "bus.db")) as bus,
        ):
            places = [Origin.parse(at) for (at,) in ledger.execute("SELECT bytes_at FROM ledger_deliveries")]
            query = "SELECT p.number, p.next FROM partitions p JOIN topics t ON t.id=p.topic WHERE t.name=?"
            ends = dict(bus.execute(query, (out_topic(SINK),)))
        assert all(place.offset < ends[place.partition] for place in places)
        assert len(places) == said.files["ledger.db"].rows["ledger_deliveries"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o600}
    ours = {"bus.db", "journal.db", "register.db", "pseudonyms.key", "site/router.yaml", "site/pipelines/gam.yaml"}
    assert ours < set(said.files)
    last = json.loads((stage.folder / "var" / "backup.json").read_bytes())
    assert last["finished"] == said.finished and last["folder"] == str(folders[-1])


def test_only_the_newest_stay_and_a_half_one_is_none(stage: Stage) -> None:
    """`--keep` removes the oldest whole ones; what a killed backup left is never taken for one, and is removed."""
    to = stage.folder / "backups"
    for name in ("2026-01-01T000000Z", "2026-01-02T000000Z"):
        taken(stage).rename(to / name)
    half = to / "2027-01-01T000000Z.partial"
    half.mkdir()
    (half / "manifest.json").write_text("{}")
    assert manifest.latest(to).name == "2026-01-02T000000Z"
    made = backup(stage.services, to, keep=2)
    assert made.removed == 1 and not half.exists()
    assert manifest.complete(to) == [to / "2026-01-02T000000Z", made.folder]


def test_what_is_no_backup_of_this_site_stays(stage: Stage) -> None:
    """`--keep` removes backups of this site alone, and none of the others in the folder is taken for the newest."""
    to = stage.folder / "backups"
    old = to / "2026-01-01T000000Z"
    taken(stage).rename(old)
    for name in ("app", "zzz-before-the-upgrade", "2026-01-01T000001Z", "2026-01-01T000002Z", "films.partial"):
        shutil.copytree(old, to / name)
    (to / "app" / "manifest.json").write_text('{"name": "a web application"}')
    other = json.loads((to / "2026-01-01T000001Z" / "manifest.json").read_bytes())
    (to / "2026-01-01T000001Z" / "manifest.json").write_text(json.dumps({**other, "key": "of another site"}))
    (to / "2026-01-01T000002Z" / "manifest.json").write_text("damaged")
    elsewhere = stage.folder / "elsewhere"
    elsewhere.mkdir()
    (to / "2026-01-01T000003Z.partial").symlink_to(elsewhere)
    assert manifest.latest(to).name == "2026-01-01T000002Z"
    made = backup(stage.services, to, keep=1)
    stay = {"app", "zzz-before-the-upgrade", "2026-01-01T000001Z", "2026-01-01T000002Z", "films.partial"}
    assert {path.name for path in to.iterdir() if path.is_dir() and not path.is_symlink()} == {*stay, made.folder.name}
    assert made.removed == 1
    assert manifest.latest(to) == made.folder


def test_a_byte_that_changed_is_found(stage: Stage) -> None:
    """A file that is not as it was written, one that is missing, and a folder without a manifest are no backups."""
    folder = taken(stage)
    path = folder / "bus.db"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(OperatorFault, match=r"BACKUP-DAMAGED at .*bus\.db"):
        again(stage, folder)
    assert not (stage.folder / "var" / "ledger.db").exists()
    path.unlink()
    with pytest.raises(OperatorFault, match="BACKUP-DAMAGED"):
        verify(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(OperatorFault, match="BACKUP-NONE"):
        verify(folder)
    stage.open()


# ----------------------------------------------------------------------------------------------- the way back


def test_an_embedded_bus_that_was_lost_repeats_nothing_without_an_order(stage: Stage) -> None:
    """What waited when the backup was made may have left since: all of it is held, and leaves once a person says so."""
    stage.sink.behaviour = lambda one, _: 30.0 if one.label == "slow" else None
    early, slow = some(0, 3), [delivery(n, f"lane-{n}", sink=SINK, label="slow") for n in (5, 6)]
    stage.publish(*early, *slow)
    with pytest.raises(TimeoutError):
        stage.deliver(*early, *slow, seconds=2.0)
    unread, undecided = some(10, 12), stage.event(7)
    stage.publish(*unread)
    folder = taken(stage)
    stage.sink.behaviour = lambda _d, _a: None
    stage.deliver(*early, *slow, *unread)  # they leave; then the disk is lost
    left = stage.delivered()
    done = again(stage, folder)
    doubtful = {one.id for one in [*slow, *unread]}
    assert {one["id"] for one in done.found.deliveries} == doubtful
    assert done.found.held == {SINK: 4} and done.found.undecided[in_topic("gam")] == 1
    decided = delivery(8, "lane-8", sink=SINK, origin=undecided)  # what the pipelines make of it now
    stage.publish(decided, more := delivery(9, "lane-9", sink=SINK, origin=Origin("in.gam", 0, 99)))
    stage.deliver(more)
    assert {stage.state(one) for one in [*slow, *unread, decided]} == {State.PARKED}
    assert stage.delivered() == sorted([*left, more.id])
    assert set(order(stage)) == {*doubtful, decided.id}
    stage.deliver(*slow, *unread, decided)
    assert stage.delivered() == sorted([*left, more.id, *doubtful, decided.id])


def test_a_bus_that_lived_on_proves_what_left(stage: Stage) -> None:
    """With the newer bus nothing proven is repeated; what was begun and has no receipt is held; claims come back."""
    early, late = some(0, 3), some(3, 8)
    stage.publish(*early)
    stage.deliver(*early)
    folder = taken(stage)
    stage.publish(*late)
    stage.receive(1)
    stage.deliver(*late)
    stage.sink.behaviour = lambda _d, _a: 30.0
    begun = some(20, 22)
    stage.publish(*begun)
    with pytest.raises(TimeoutError):
        stage.deliver(*begun, seconds=1.0)
    done = again(stage, folder, keep_bus=True)
    assert done.found.proven == {SINK: 5} and done.found.held == {SINK: 2}
    assert done.found.claims == {"in.gam": 1}
    assert set(stage.ledger.acks([f"{1:032d}"])) == {f"{1:032d}"}
    stage.sink.behaviour = lambda _d, _a: None
    stage.start()
    more = some(30, 31)
    stage.publish(*more)
    stage.deliver(*more)
    assert {stage.state(one) for one in late} == {State.DONE}
    assert {stage.state(one) for one in begun} == {State.PARKED}
    assert stage.delivered() == sorted(one.id for one in [*early, *late, *more])


def test_what_moves_with_its_router_stopped_goes_on(stage: Stage) -> None:
    """`--moved`: nothing left after the backup, so nothing is held, and what waited leaves."""
    waiting = some(0, 4)
    stage.publish(*waiting)
    folder = taken(stage)
    done = again(stage, folder, moved=True)
    assert done.found.held == {} and done.found.undecided == {}
    stage.start()
    stage.deliver(*waiting)
    assert stage.delivered() == sorted(one.id for one in waiting)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": manifest.FORMAT + 1, "version": "9.0.0", "new": "field"}, "BACKUP-VERSION"),
        ({"schemas": {"ledger": 99}, "version": "9.0.0"}, "BACKUP-VERSION"),
        ({"environment": "production"}, "RESTORE-ENVIRONMENT"),
        ({"bus": "kafka"}, "RESTORE-BUS"),
        ({"database": "postgresql"}, "RESTORE-DATABASE"),
        ({"key": "0" * 32}, "RESTORE-KEY"),
    ],
)
def test_a_backup_that_does_not_fit_is_refused_in_one_sentence(
    stage: Stage, change: dict[str, object], code: str
) -> None:
    """Newer, of another environment, kind of bus or database, or key: nothing is put in place."""
    folder = taken(stage)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    with pytest.raises(OperatorFault, match=code) as caught:
        again(stage, folder)
    if code == "BACKUP-VERSION":
        assert str(caught.value).endswith("written by a newer segur-router (9.0.0): restore it with that version")
    with in_language("fr"):
        assert translated(caught.value.text) != caught.value.text
    assert not list(stage.folder.glob("var/*.db"))
    stage.open()


def test_nothing_is_restored_over_data_or_under_a_router(stage: Stage) -> None:
    """A folder that holds data, and one on which a router runs, are refused and left as they are."""
    folder = taken(stage)
    stage.close()
    before = (stage.folder / "var" / "ledger.db").read_bytes()
    with pytest.raises(OperatorFault, match=r"RESTORE-DATA .*not empty"):
        restore(stage.folder / "router.yaml", folder, alert=stage.alert)
    assert (stage.folder / "var" / "ledger.db").read_bytes() == before
    running = Tenure(stage.folder / "var")
    with pytest.raises(OperatorFault, match="SITE-IN-USE"):
        restore(stage.folder / "router.yaml", folder, alert=stage.alert)
    running.end()
    stage.open()


def test_nothing_is_restored_under_a_router_that_reads_the_bus_elsewhere(stage: Stage) -> None:
    """The lock on the data folder knows nothing of it; the bus does, and names its processes."""
    folder = taken(stage)
    reader = stage.bus.consumer("pipelines", ["in.gam"], member="pipelines-0")
    reader.poll(max_records=1, max_bytes=1000, timeout=0.1)
    site = stage.folder / "router.yaml"
    elsewhere = stage.folder / "elsewhere.yaml"
    same_bus = "bus: {type: sqlite, path: var/bus.db}\n"
    elsewhere.write_text(site.read_text().replace("data: var", "data: other") + same_bus)
    (stage.folder / "other").mkdir(mode=0o700)
    shutil.copy(stage.folder / "var" / manifest.KEY, stage.folder / "other" / manifest.KEY)
    with pytest.raises(OperatorFault, match=r"RESTORE-RUNS .*pipelines-0 .*stop them first"):
        restore(elsewhere, folder, alert=stage.alert, keep_bus=True)
    assert {path.name for path in (stage.folder / "other").iterdir()} <= {manifest.KEY, "router.lock"}
    reader.close()
    restore(elsewhere, folder, alert=stage.alert, keep_bus=True)


def test_a_restore_that_was_cut_short_is_done_again(stage: Stage) -> None:
    """No router starts on half a restore; the next restore takes what is left of it away."""
    folder = taken(stage)
    stage.close()
    data = stage.folder / "var"
    shutil.rmtree(data)
    data.mkdir()
    (data / "restore.unfinished").touch()
    (data / "bus.db").write_bytes(b"half")
    with pytest.raises(OperatorFault, match="RESTORE-UNFINISHED"):
        RouterProcess(Site(stage.folder / "router.yaml"))
    restore(stage.folder / "router.yaml", folder, alert=stage.alert)
    assert not (data / "restore.unfinished").exists()
    stage.open()


def test_a_restore_that_fails_leaves_the_folder_empty(stage: Stage) -> None:
    """The copy of the ledger can't be opened after all: nothing stays, so that it can be tried again."""
    folder = taken(stage)
    (folder / "ledger.db").write_bytes(b"no database" * 100)
    path = folder / "manifest.json"
    said = json.loads(path.read_bytes())
    said["files"]["ledger.db"] = manifest.digest(folder / "ledger.db").model_dump()
    path.write_text(json.dumps(said))
    with pytest.raises(OperatorFault, match="LEDGER-NOTADB"):
        again(stage, folder)
    left = {path.name for path in (stage.folder / "var").iterdir()}
    assert left <= {"router.lock", "pseudonyms.key"}
    stage.open()


def test_a_site_that_is_not_there_comes_from_the_backup(stage: Stage, tmp_path: Path) -> None:
    """On another machine: site file and pipelines are written where they lack, and the key is the one of before."""
    stage.publish(*some(0, 2))
    folder = taken(stage)
    key = stage.services.pseudonyms.of("x")
    target = tmp_path / "other" / "router.yaml"
    done = restore(target, folder, alert=stage.alert)
    assert set(done.brought) == {target, target.parent / "pipelines"}
    assert (target.parent / "pipelines" / "gam.yaml").read_text() == PIPELINE
    other = Stage(target.parent, target.read_text())
    assert other.services.pseudonyms.of("x") == key
    assert {other.state(one) for one in some(0, 2)} == {State.PARKED}
    other.close()


def test_a_key_kept_elsewhere_must_be_put_back_first(stage: Stage) -> None:
    """`--without-key`: the backup holds no key, and the restore asks for it before it puts anything in place."""
    folder = backup(stage.services, stage.folder / "backups", with_key=False).folder
    key = (stage.folder / "var" / "pseudonyms.key").read_bytes()
    assert not list(folder.rglob("*.key")) and key not in (folder / "manifest.json").read_bytes()
    with pytest.raises(OperatorFault, match=r"RESTORE-KEY .*put the key here first"):
        again(stage, folder)
    (stage.folder / "var" / "pseudonyms.key").write_bytes(key)
    restore(stage.folder / "router.yaml", folder, alert=stage.alert)
    stage.open()


def test_migrate_says_what_it_did(stage: Stage) -> None:
    """The first time tables are made or migrated, the second time there is nothing to do."""
    stage.close()
    for room in ("journal", "register"):
        (stage.folder / "var" / f"{room}.db").unlink(missing_ok=True)
    stage.open()
    done = migrate(stage.services.site)
    assert done["ledger"] == (done["ledger"][1], done["ledger"][1]) and done["journal"][0] is None
    assert {before for before, _ in migrate(stage.services.site).values()} == {after for _, after in done.values()}


def test_the_register_learns_again_what_was_said_of_patients_since(stage: Stage) -> None:
    """Events of an ADT feed that the pipelines had decided after the backup are applied again; once each."""
    maker = Maker(9)
    messages = [maker.adt("A28", maker.patient()) for _ in range(3)]
    names = Message.parse(messages[2]).segments("PID")[0].repetitions(3)
    one = next(name for name in names if name.text(5) == "PI")
    folder = taken(stage)
    for number, message in enumerate(messages):
        stage.receive(number, message)
    done = again(stage, folder, keep_bus=True)
    assert (done.found.register, done.found.unreadable) == (3, 0)
    authority = Identifier(value=one.text(1), authority=one.text(4, 2), namespace=one.text(4, 1))
    assert stage.services.register.find(ipp_pseudonym(stage.services.pseudonyms, authority)) is not None
