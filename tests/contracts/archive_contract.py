"""What was kept is read back as it was, or not at all: on each database. A subclass gives the fixture `url`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from router.archive.keeper import ArchiveKeeper
from router.archive.settings import ArchiveConfig
from router.archive.store import Archive
from router.archive.tables import METADATA, VERSION
from router.audit.event import Action, AuditEvent
from router.contracts import Unobserved
from router.contracts.keeping import Kept, Kind
from router.database import Database
from router.errors import OperatorFault, Unavailable
from router.exchange import Disposition, Receipt, ReceiptKind
from router.sealing.sealer import Sealer
from tests.sealing.rings import Moved, ring

DAY = 86_400.0
ASKED = AuditEvent(at=1.0, who="marie", action=Action.VIEWED, reason="call of Dr Martin", source="cli")
PATIENT = b"PATIENT 187000000000000"


class World:
    def __init__(self, folder: Path, url: str = "", config: ArchiveConfig | None = None) -> None:
        """url: of the database of lines and keys; default: two files in the folder."""
        self.folder, self.clock, self.lines = folder, Moved(), list[AuditEvent]()
        self.config = config or ArchiveConfig()
        self.keys = ring(url or folder, clock=self.clock)
        self.url = url or f"sqlite:///{folder / 'archive.db'}"
        self.archive = self.opened()

    def opened(self) -> Archive:
        """The archive, as one more process opens it."""
        folder, sealer = self.folder / "archive", Sealer(self.keys)
        return Archive(self.url, folder, sealer, self.config, self.clock, self.lines.append)

    def close(self) -> None:
        self.archive.close()
        self.keys.close()

    def keep(self, what: Kept) -> None:
        self.archive.write([(what, what.digest())])

    def files(self) -> list[Path]:
        return sorted(path for path in (self.folder / "archive").glob("*/*"))


def mail(delivery: str = "d1", text: bytes = PATIENT, kind: Kind = Kind.MAIL) -> Kept:
    return Kept(delivery_id=delivery, event_id="e1", kind=kind, parts=(b"From: a\r\n\r\n", text))


class Counting(Unobserved):
    def __init__(self) -> None:
        self.lost = 0.0

    def count(self, measure: str, amount: float = 1, **labels: str) -> None:
        self.lost += amount


class ArchiveContract:
    """Every promise, one test each."""

    @pytest.fixture
    def world(self, tmp_path: Path, url: str) -> Iterator[World]:
        made = World(tmp_path, url)
        yield made
        made.close()

    def test_what_left_comes_back_with_its_line_in_the_audit(self, world: World) -> None:
        """Byte for byte; the disk shows nothing of it; the line says who and why."""
        parts = (PATIENT, b"%PDF" * 800_000)
        large = Kept(delivery_id="d1", event_id="e1", kind=Kind.SOAP_REQUEST, name="TD2.1", parts=parts)
        world.archive.write([(mail(), mail().digest()), (large, large.digest())])
        world.keep(mail())  # a repeat of the same mail
        first, second = sorted(world.archive.items("d1"), key=lambda item: item.size)
        assert [(one.kind, one.name, one.size, one.stored) for one in (first, second)] == [
            (Kind.MAIL, "", len(PATIENT) + 11, True),
            (Kind.SOAP_REQUEST, "TD2.1", len(PATIENT) + 3_200_000, True),
        ]
        for one, kept in ((first, mail()), (second, large)):
            assert world.archive.read(one, ASKED) == b"".join(kept.parts)
            assert one.sha256 == kept.digest()
        assert [(line.who, line.kind, line.reason) for line in world.lines] == [("marie", "archive", ASKED.reason)] * 2
        assert {line.object for line in world.lines} == {first.id, second.id}
        held = b"".join(path.read_bytes() for path in world.folder.rglob("*") if path.is_file())
        assert PATIENT not in held
        assert list(world.archive.verify()) == []

    def test_nothing_is_read_without_its_line(self, world: World) -> None:
        """The audit is away: the content stays closed."""

        def away(_event: AuditEvent) -> None:
            raise Unavailable("AUDIT-AWAY", "", "away")

        world.keep(mail())
        world.archive._audit = away
        with pytest.raises(Unavailable, match="AUDIT-AWAY"):
            world.archive.read(world.archive.items("d1")[0], ASKED)

    @pytest.mark.parametrize("how", ["bit", "cut", "exchanged", "digest", "delivery", "kind"])
    def test_what_was_tampered_with_is_found(self, world: World, how: str) -> None:
        """In the file and in the line; `verify` finds it and goes on, `read` refuses."""
        for number in (1, 2, 3):
            world.keep(mail(f"d{number}", PATIENT + str(number).encode()))
        (file,) = world.files()
        changes = {
            "exchanged": 'UPDATE archive_items SET "offset"=(SELECT "offset" FROM archive_items '
            "WHERE delivery_id='d2') WHERE delivery_id='d1'",
            "digest": "UPDATE archive_items SET sha256=(SELECT sha256 FROM archive_items WHERE delivery_id='d2') "
            "WHERE delivery_id='d1'",
            "delivery": "UPDATE archive_items SET delivery_id='d9' WHERE delivery_id='d1'",
            "kind": "UPDATE archive_items SET kind='zam' WHERE delivery_id='d1'",
        }
        data = bytearray(file.read_bytes())
        if how == "bit":
            data[60] ^= 4
            file.write_bytes(data)
        elif how == "cut":
            file.write_bytes(data[:-1])
        else:
            database = Database("archive", world.url, METADATA, VERSION)
            with database.write() as db:
                db.execute(text(changes[how]))
            database.close()
        ((item, code),) = world.archive.verify()
        assert code == "ARCHIVE-DAMAGED"
        with pytest.raises(OperatorFault, match="ARCHIVE-DAMAGED"):
            world.archive.read(item, ASKED)

    def test_each_kind_has_its_time(self, tmp_path: Path, url: str) -> None:
        """Contents go by folders of days, lines and receipts stay for years; what is gone says so."""
        world = World(tmp_path, url, ArchiveConfig(content_days=30, proofs_years=1, kinds={Kind.ZAM: 0, Kind.DSN: 90}))
        for kind in (Kind.MAIL, Kind.ZAM, Kind.DSN):
            world.keep(mail(kind, kind=kind))
        receipt = Receipt(
            delivery_id="mail",
            event_id="e1",
            sink="mssante.chu",
            kind=ReceiptKind.DELIVERY,
            ok=True,
            at=world.clock.at,
            disposition=Disposition.DELIVERED,
            evidence={"mail_sha256": mail("mail").digest()},
        )
        world.archive.write_receipts([receipt, receipt, replace(receipt, kind=ReceiptKind.ATTEMPT)])
        world.clock.at += 29 * DAY
        world.archive.purge()
        stored = {one: world.archive.items(one)[0].stored for one in ("mail", "zam", "dsn")}
        assert stored == {"mail": True, "zam": False, "dsn": True}
        world.clock.at += 3 * DAY
        gone = world.archive.purge()
        assert (gone.contents, gone.proofs, len(world.files())) == (1, 0, 1)
        (item,) = world.archive.items("mail")
        assert (item.stored, item.sha256) == (False, mail("mail").digest())
        with pytest.raises(OperatorFault, match="ARCHIVE-REMOVED"):
            world.archive.read(item, ASKED)
        assert world.archive.receipts("mail") == [receipt]
        world.clock.at += 400 * DAY
        assert world.archive.purge().proofs == 4
        assert (world.archive.items("mail"), world.archive.receipts("mail"), world.files()) == ([], [], [])
        world.close()

    def test_the_archive_holds_up_no_delivery(self, world: World) -> None:
        """Its folder can't be written: `keep` returns the digest at once, and what comes later is kept."""
        blocked = world.folder / "archive"
        blocked.write_text("a file in the place of the folder")
        keeper = ArchiveKeeper(world.archive, Counting(), required=False)
        assert asyncio.run(keeper.keep(mail())) == mail().digest()
        for _ in range(200):
            if keeper._jobs and blocked.is_file():
                blocked.unlink()
            if world.archive.items("d1"):
                break
            asyncio.run(asyncio.sleep(0.05))
        keeper.close()
        (item,) = world.archive.items("d1")
        assert world.archive.read(item, ASKED) == b"".join(mail().parts)

    def test_where_it_is_required_nothing_leaves_unkept(self, world: World) -> None:
        """Durable on return; while the folder can't be written the delivery waits in its lane, its circuit closed."""
        seen = Counting()
        keeper = ArchiveKeeper(world.archive, seen, required=True)
        asyncio.run(keeper.keep(mail()))
        assert world.archive.items("d1")[0].stored
        world.archive._contents._folder = world.folder / "file"
        world.archive._contents._folder.touch()  # no folder
        world.archive._contents.close()
        with pytest.raises(Unavailable) as caught:
            asyncio.run(keeper.keep(mail("d2")))
        assert (caught.value.code, caught.value.circuit) == ("ARCHIVE-WRITE", False)
        assert world.archive.items("d2") == []
        keeper.close()
        assert seen.lost == 0

    def test_processes_that_keep_the_same_things_at_once_keep_each_once(self, world: World) -> None:
        """An attempt is repeated elsewhere while the first still writes, in another order."""
        others = [world.opened() for _ in range(2)]
        together = threading.Barrier(len(others))
        things = [(one, one.digest()) for one in (mail(f"d{number}") for number in range(60))]

        def keep(archive: Archive, step: int) -> None:
            together.wait(10)
            archive.write(things[::step])

        with ThreadPoolExecutor(len(others)) as pool:
            for work in [pool.submit(keep, one, step) for one, step in zip(others, (1, -1), strict=True)]:
                work.result(60)
        assert world.archive.size().items == 60 and list(world.archive.verify()) == []
        for one in others:
            one.close()

    def test_expired_lines_go_in_small_transactions(self, world: World) -> None:
        """More than one batch of them, while another process keeps new ones."""
        world.archive.write([(one, one.digest()) for one in (mail(f"d{number}") for number in range(1200))])
        world.clock.at += 40 * DAY
        world.keep(mail("new"))
        assert world.archive.purge().contents == 1200
        world.clock.at += 3620 * DAY
        gone = world.archive.purge()
        assert (gone.proofs, world.archive.size().items) == (1200, 1)
