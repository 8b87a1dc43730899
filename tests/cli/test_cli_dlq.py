"""An operator's morning: dead letters of three causes, on a real router; one cause is mended, and its letters leave."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from router.demo.stage import OUTSIDE, Stage, stage
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.mllp import Sent
from tests.cli.cli import Said, typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE = 90.0


async def _night(played: Stage) -> tuple[Recipient, list[str], list[Sent]]:
    """Two letters to a full mailbox, from two senders; one to an outside address; one that the DMP refuses."""
    maker, full = played.maker, played.recipient()
    played.world.mssante.refuse(full.address, 552, "5.2.2", "mailbox full")
    sent, documents = [], []
    for feed in ("sil", "ris"):
        letter = maker.document("letter", maker.patient(), size=8_000)
        documents.append(letter.uid)
        sent += await played.send(maker.message(letter, event="MDM", dmp=False, recipients=[full]), feed=feed)
    outside = Recipient(professional=maker.doctor, address=OUTSIDE)
    letter = maker.document("letter", maker.patient(), size=8_000)
    sent += await played.send(maker.message(letter, event="MDM", dmp=False, recipients=[outside]))
    played.world.dmp.refuse("XDSRegistryMetadataError", count=1)
    report = maker.document("biology", maker.patient(), size=8_000)
    sent += await played.send(maker.message(report, recipients=[]))
    return full, documents, sent


async def _groups(played: Stage, letters: int) -> list[dict[str, object]]:
    """`dlq ls --json` once so many letters are there."""
    for _ in range(int(PATIENCE)):
        said = await typed(played.site, "dlq", "ls", "--json")
        if sum(group["count"] for group in said.json) >= letters:
            break
        await asyncio.sleep(0.5)
    return list(said.json)


async def _filters(played: Stage, cause: str) -> None:
    """Filters narrow the list; what the site hasn't got is said, and nothing is done."""
    of_ris = (await typed(played.site, "dlq", "ls", "--json", "--feed", "ris", "--code", "MSS-552")).json
    assert [group["count"] for group in of_ris] == [1]
    assert (await typed(played.site, "dlq", "ls", "--json", "--since", "2200-01-01")).json == []
    wrong = await typed(played.site, "dlq", "ls", "--sink", "mssante.ailleurs")
    assert (wrong.code, "no such sink" in wrong.err) == (2, True)
    unwilling = await typed(played.site, "dlq", "replay", cause, answer="n\n")
    assert unwilling.code == 1
    dry = await typed(played.site, "dlq", "replay", "all", "--pipeline", "lettres", "--dry-run")
    assert (dry.code, "3 would be done, 0 refused" in dry.out) == (0, True)


async def _mended(played: Stage, cause: str, sent: list[Sent]) -> Said:
    """The mailbox has room again: one cause is replayed, and the command waits for what becomes of it."""
    await played.world.mssante.reset()
    return await typed(
        played.site, "dlq", "replay", cause, "--yes", "--wait", "--timeout", str(PATIENCE), "--reason", "boîte vidée"
    )


async def _story(folder: Path) -> None:
    async with stage(folder, seed=31, console=False) as played:
        await played.start()
        full, documents, sent = await _night(played)
        found = await _groups(played, 4)
        assert sorted((group["code"], group["count"]) for group in found) == [
            ("DMP-XDSRegistryMetadataError", 1), ("MSS-510", 1), ("MSS-552", 2),
        ]  # fmt: skip
        cause = next(str(group["cause"]) for group in found if group["code"] == "MSS-552")

        page = (await typed(played.site, "dlq", "ls")).out
        assert page.splitlines()[0].split()[:4] == ["2", "×", "MSS-552", "RCPT"]  # the most numerous first
        assert "from ris, sil; first " in page
        assert "→ Mailbox full" in page
        assert "→ Boîte pleine" in (await typed(played.site, "dlq", "ls", "--lang", "fr")).out
        shown = (await typed(played.site, "dlq", "show", cause)).out
        assert shown.count(full.address) == 2
        await _filters(played, cause)
        assert not any(played.mails(uid) for uid in documents)

        replayed = await _mended(played, cause, sent)
        assert (replayed.code, "2 ordered, 0 refused" in replayed.out) == (0, True), replayed
        assert replayed.out.count("delivered") == 2
        assert [len(played.mails(uid, full.address)) for uid in documents] == [1, 1]
        assert {group["code"] for group in await _groups(played, 2)} == {"DMP-XDSRegistryMetadataError", "MSS-510"}
        await _afterwards(played, sent)


async def _afterwards(played: Stage, sent: list[Sent]) -> None:
    """The journal tells who ordered what; what was delivered is refused with its proof; the rest is given up."""
    again = await typed(played.site, "dlq", "replay", sent[0].control_id, "--yes", "--lang", "fr")
    assert again.code == 1
    assert "déjà livré" in again.out
    assert "Message-ID <" in again.out
    story = (await typed(played.site, "explain", sent[0].control_id, "--lang", "fr")).out
    assert "Rejeu accepté. boîte vidée" in story
    outside = next(g for g in await _groups(played, 2) if g["code"] == "MSS-510")
    given_up = await typed(
        played.site, "dlq", "discard", str(outside["cause"]), "--reason", "mauvaise adresse", "--yes"
    )
    assert given_up.code == 0

    async def gone() -> bool:
        return [group["code"] for group in await _groups(played, 1)] == ["DMP-XDSRegistryMetadataError"]

    assert await played.until(gone, PATIENCE)
    assert await played.until(lambda: _tells(played.site, sent[2].control_id, "mauvaise adresse"), PATIENCE)


async def _tells(site: Path, control_id: str, words: str) -> bool:
    return words in (await typed(site, "explain", control_id)).out


def test_three_causes_are_read_and_one_is_mended_and_replayed(tmp_path: Path) -> None:
    """`dlq ls` groups by cause; the mended one is replayed while the router runs, arrives, and is explained."""
    asyncio.run(_story(tmp_path / "stage"))
