"""Workers of the last release and of the present code on one site at once; `benchmarks.rolling --from` is the long run.

What they write for each other is compared, without any history, by tests/engine/test_engine_formats.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from benchmarks.load import template
from benchmarks.rolling.older import ROOT, NoHistory, Older, released, unpack
from benchmarks.rolling.plan import REPLICAS, upgrade_turns
from benchmarks.rolling.upgrade import NEWER, Upgrade
from router.config.site import Site
from router.runtime.backup.migrate import migrate
from router.runtime.supervisor.workers import EXIT_CONFIG
from router.simulators.hl7_peer import Hl7Peer
from router.simulators.sender.mllp import MllpSender

SITE = """
environment: qualification
data: var
pipelines: pipelines
log_level: ERROR
admin: {{port: 0}}
feeds: {{relais: {{kind: relay, mllp: {{port: 0}}}}}}
sinks: {{hl7.dpi: {{type: hl7, host: 127.0.0.1, port: {port}}}}}
"""
PATIENTS = 5


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Older:
    try:
        return unpack(released(), tmp_path_factory.mktemp("older") / "code")
    except NoHistory as reason:
        pytest.skip(f"the last release is not in this checkout: {reason}")


class _Stage:
    """A site on the embedded bus, workers of it, and what arrives at its receiver."""

    def __init__(self, folder: Path, receiver: Hl7Peer) -> None:
        self.folder, self.receiver, self.sent = folder, receiver, 0
        self.site = folder / "router.yaml"
        self.site.write_text(SITE.format(port=receiver.port))
        (folder / "pipelines").mkdir()
        (folder / "pipelines" / "relais.yaml").write_text(
            "name: relais\nfeed: relais\nsinks: {hl7.dpi: {}}\n"
            "examples: [{name: un, message: un.hl7, expect: {hl7: [hl7.dpi]}}]\n"
        )
        self.make = template(900, PATIENTS)
        (folder / "pipelines" / "un.hl7").write_bytes(self.make(1, "EXEMPLE"))

    @contextlib.asynccontextmanager
    async def workers(self, code: Path, *names: str) -> AsyncIterator[dict[str, asyncio.subprocess.Process]]:
        """Workers `role-slot` of this code, ready; at the end they have drained, with exit code 0."""
        started = {name: await self.start(code, name) for name in names}
        try:
            await self.until(lambda: all(self._said(name) for name in names))
            yield started
            for one in started.values():
                one.send_signal(signal.SIGTERM)
            assert [await asyncio.wait_for(one.wait(), 20) for one in started.values()] == [0] * len(started)
        finally:
            for one in started.values():
                with contextlib.suppress(ProcessLookupError):
                    one.kill()

    async def start(self, code: Path, name: str) -> asyncio.subprocess.Process:
        role, _, slot = name.partition("-")
        with (self.folder / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router.runtime.process", str(self.site), role, slot,
                env={**os.environ, "PYTHONPATH": str(code)}, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

    def _said(self, name: str) -> dict[str, str]:
        with contextlib.suppress(OSError, ValueError):
            ports: dict[str, str] = json.loads((self.folder / "var" / "run" / f"{name}.json").read_text())["ports"]
            return ports or {"": ""}
        return {}

    async def send(self, count: int, gateway: str) -> None:
        """So many messages, each acknowledged, that go through whoever works now; returns when they have arrived."""
        async with MllpSender("127.0.0.1", int(self._said(gateway)["relais"])) as sender:
            for _ in range(count):
                self.sent += 1
                answer = (await sender.send(self.make(self.sent, f"M{self.sent}"))).ack
                assert answer is not None
                assert b"|AA|" in answer
        await self.until(lambda: len({one.control_id for one in self.receiver.received}) == self.sent)

    async def until(self, truth: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not truth():  # noqa: ASYNC110  # other processes make it true
                await asyncio.sleep(0.02)

    def judge(self) -> None:
        """Nothing twice, and each patient's messages in their order."""
        arrived = [int(one.control_id.removeprefix("M")) for one in self.receiver.received]
        assert sorted(arrived) == list(range(1, self.sent + 1))
        for patient in range(PATIENTS):
            own = [number for number in arrived if number % PATIENTS == patient]
            assert own == sorted(own)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_of_two_versions_share_a_site(tmp_path: Path, older: Older) -> None:
    """Each stage of each version works with the other's, on tables that the new one migrated: nothing lost, twice or
    out of order; an older worker that starts after that refuses in one sentence."""

    async def story() -> None:
        async with Hl7Peer() as receiver:
            stage = _Stage(tmp_path, receiver)
            old, new = older.folder, ROOT
            async with stage.workers(old, "gateway-0"):
                async with stage.workers(old, "pipelines-0", "sinks-0"):
                    await stage.send(10, "gateway-0")
                    newer = _migrate(stage.site)
                    await stage.send(10, "gateway-0")
                    async with stage.workers(new, "pipelines-1"):
                        await stage.send(20, "gateway-0")  # both versions decide, the older delivers
                async with stage.workers(new, "sinks-1", "pipelines-2"), stage.workers(new, "gateway-1"):
                    await stage.send(10, "gateway-0")
                    await stage.send(10, "gateway-1")
            if newer:
                refused = await stage.start(old, "sinks-0")
                assert await asyncio.wait_for(refused.wait(), 60) == EXIT_CONFIG
                assert NEWER in (tmp_path / "log").read_text()
            stage.judge()

    asyncio.run(story())


def _migrate(site: Path) -> bool:
    """Whether the tables of the ledger are newer now than those of the release."""
    before, after = migrate(Site(site))["ledger"]
    return before != after


def test_an_upgrade_replaces_every_pod_and_lets_one_fall() -> None:
    """The long run's turns: each slot of each role once; the first pod falls while its tables are newer than it."""
    turns = upgrade_turns()
    slots = [(role, slot) for role, count in REPLICAS.items() for slot in range(count)]
    assert sorted((one.role, one.slot) for one in turns) == sorted(slots)
    assert [one.kill for one in turns] == [True] + [False] * (len(slots) - 1)


def test_a_hook_that_fails_and_a_silent_refusal_are_told() -> None:
    """The run fails when the hook does, or when an older pod ends without saying that its tables are newer."""
    assert Upgrade(refused={"sinks-0": f"LEDGER-VERSION: the database was\n{NEWER}"}).broken() == []
    assert Upgrade(code=3, migrated="away", refused={"sinks-0": "Killed"}).broken() == [
        "the hook ended with 3: away",
        "sinks-0: its older version ended without a reason",
    ]
