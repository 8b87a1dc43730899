"""The whole router with two hospitals: a message, a sender or a hospital that is rejected stops nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from router.demo.stage import Stage, stage
from router.simulators.sender import HOPITAL_A, HOPITAL_B, Maker
from router.simulators.sender.options import CdaSample
from router.starter.profiles import A as FIRST
from tests.cli.cli import typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
A, B = HOPITAL_A.finess, HOPITAL_B.finess
BOX_A, BOX_B = f"pfi@{FIRST.domain}", f"pfi-b@{FIRST.domain}"
STRANGER = "X^^^^^&1.2.250.1.71.4.2.2&ISO^FINEG^^^130000001"
SOON = 60.0


def _both(site: dict[str, Any], played: Stage) -> None:
    """Hospital B beside A, with sinks and certificates of its own, on the same feed."""
    site["structures"][B] = dict(site["structures"][A]) | {
        "name": HOPITAL_B.name,
        "source_oid": "1.2.250.1.213.1.4.99.20",
        "ipp_oid": HOPITAL_B.ipp_oid,
        "mailbox": BOX_B,
        "dmp": "dmp.hopital-b",
        "mssante": "mssante.hopital-b",
    }
    made = played.world.certificates
    auth, auth_key = map(str, made.pair(f"{B}-auth"))
    sign, sign_key = map(str, made.pair(f"{B}-sign"))
    site["sinks"]["dmp.hopital-b"] = dict(site["sinks"]["dmp.hopital-a"]) | {
        "auth": {"certificate": auth, "key": auth_key},
        "sign": {"certificate": sign, "key": sign_key},
    }
    mail = dict(site["sinks"]["mssante.hopital-a"])
    mail["tls"] = dict(mail["tls"]) | {"certificate": auth, "key": auth_key}
    site["sinks"]["mssante.hopital-b"] = mail
    other = f"{HOPITAL_B.ipp_namespace}&{HOPITAL_B.ipp_oid}&ISO"
    rules = {"structures": [A, B], "autorites": {FIRST.authority: HOPITAL_A.ipp_oid, other: HOPITAL_B.ipp_oid}}
    for feed in ("sil", "ris"):
        site["feeds"][feed]["rules"] = rules
    site["facilities"] = {HOPITAL_B.ipp_namespace: B}
    site["retry"]["mssante"]["first"] = 0.5


@asynccontextmanager
async def two_hospitals(folder: Path, seed: int) -> AsyncIterator[Stage]:
    async with stage(folder, seed=seed, others={BOX_B: HOPITAL_B}, console=False) as played:
        yaml = YAML()
        site = yaml.load(played.site.read_text())
        _both(site, played)
        with played.site.open("w") as file:
            yaml.dump(site, file)
        await played.start()
        yield played


class Senders:
    """What both hospitals send, and what must arrive."""

    def __init__(self, played: Stage) -> None:
        self.played = played
        self.a, self.b = Maker(501), Maker(502, structure=HOPITAL_B)

    def report(self, maker: Maker, **options: Any) -> tuple[CdaSample, bytes]:
        made = maker.document("biology", maker.patient(age=50))
        return made, maker.message(made, **options)

    async def send(self, *messages: bytes) -> list[str]:
        return [one.code for one in await self.played.send(*messages)]

    async def arrives(self, *reports: CdaSample, seconds: float = SOON) -> bool:
        return await self.played.until(
            lambda: all(self.played.dmp_status(one.uid) == "Approved" for one in reports), seconds
        )

    def from_box(self, report: CdaSample) -> list[str]:
        return [mail.envelope.sender for mail in self.played.mails(report.uid)]


async def _unknown_structures(folder: Path) -> None:
    async with two_hospitals(folder, 81) as played:
        senders = Senders(played)
        good = [senders.report(maker) for maker in (senders.a, senders.b) * 3]
        letter, nameless = senders.report(senders.b, dmp=False, drop=["PRT"])
        bad = [
            senders.report(senders.a, fields={"PRT-8": STRANGER}),
            senders.report(senders.a, fields={"PRT-8": STRANGER}, dmp=False),
            senders.report(senders.a, dmp=False, drop=["PRT"]),
        ]
        messages = [good[0], bad[0], good[1], bad[1], good[2], (letter, nameless), bad[2], *good[3:]]
        answers = await senders.send(*(message for _, message in messages))
        assert answers == ["AA", "AE", "AA", "AE", "AA", "AA", "AE", "AA", "AA", "AA"]
        assert await senders.arrives(*(report for report, _ in good))
        assert await played.until(lambda: all(played.mails(one.uid) for one in (letter, *(r for r, _ in good))), SOON)
        assert [senders.from_box(report) for report, _ in good] == [[BOX_A], [BOX_B]] * 3
        assert senders.from_box(letter) == [BOX_B]
        assert not any(played.mails(report.uid) or played.dmp_status(report.uid) for report, _ in bad)
        assert {one.structure for one in played.world.dmp.received} == {f"1{A}", f"1{B}"}
        log = played.log.read_text()
        assert "feed-waits" not in log and "circuit-open" not in log


def test_messages_of_unknown_structures_are_AE_and_stop_nobody(tmp_path: Path) -> None:
    """Among good messages of two hospitals: each of those leaves once, in its own hospital's name."""
    asyncio.run(_unknown_structures(tmp_path / "stage"))


async def _rejected_hospital(folder: Path) -> None:
    async with two_hospitals(folder, 82) as played:
        senders, dmp = Senders(played), played.world.dmp
        dmp.disown(HOPITAL_B.id_nat)
        waiting = [senders.report(senders.b) for _ in range(6)]
        passing = [senders.report(senders.a) for _ in range(6)]
        both = [message for pair in zip(waiting, passing, strict=True) for _, message in pair]
        assert await senders.send(*both) == ["AA"] * 12
        assert await senders.arrives(*(report for report, _ in passing))
        assert await played.until(lambda: all(senders.from_box(report) == [BOX_B] for report, _ in waiting), SOON)
        assert not any(played.dmp_status(report.uid) for report, _ in waiting)

        seen = len([one for one in dmp.received if one.structure == "" and not one.ok])
        await asyncio.sleep(5)
        again = len([one for one in dmp.received if one.structure == "" and not one.ok])
        assert again - seen < 12, "the DMP is asked again and again"
        late, message = senders.report(senders.a)
        begun = time.monotonic()
        assert await senders.send(message) == ["AA"]
        assert await senders.arrives(late) and time.monotonic() - begun < 5

        dmp.own(HOPITAL_B.id_nat)
        assert await senders.arrives(*(report for report, _ in waiting), seconds=90)
        letters = await typed(played.site, "dlq", "ls", "--json")
        assert letters.json == []


def test_a_hospital_that_the_dmp_rejects_waits_alone(tmp_path: Path) -> None:
    """Its mails leave, its documents wait without a loss and arrive once it is known again; the other never waits."""
    asyncio.run(_rejected_hospital(tmp_path / "stage"))


async def _rejected_sender(folder: Path) -> None:
    async with two_hospitals(folder, 83) as played:
        senders, dmp = Senders(played), played.world.dmp
        doctor = senders.a.professional("biology", domain=FIRST.domain)
        dmp.disown(doctor.id)
        good = [senders.report(senders.a) for _ in range(8)]
        refused = senders.a.document("biology", senders.a.patient(age=50), author=doctor)
        bad = senders.a.message(refused, sender=doctor, control_id="REJETE")
        messages = [message for _, message in good]
        assert await senders.send(*messages[:4], bad, *messages[4:]) == ["AA"] * 9
        assert await senders.arrives(*(report for report, _ in good))
        assert await played.until(lambda: any("Z01 N" in one for one in played.answers("REJETE")), SOON)
        assert await played.until(lambda: played.mails(refused.uid), SOON)
        assert played.dmp_status(refused.uid) == ""
        letters = await typed(played.site, "dlq", "ls", "--json")
        assert [one["code"] for one in letters.json] == ["DMP-AUTHENTIFICATION"]
        assert "circuit-open" not in played.log.read_text()


def test_a_sender_that_the_dmp_rejects_is_one_refused_document(tmp_path: Path) -> None:
    """Its sender is told Z01 N, a person finds the dead letter, and no circuit opens."""
    asyncio.run(_rejected_sender(tmp_path / "stage"))
