"""A place to measure in: a temporary site, simulators in this process, the real router in processes of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from benchmarks.load import template
from router.bus.kafka.client_thread import KERNEL_NAME
from router.simulators.dmp import DmpConfig
from router.simulators.mssante import MssanteConfig
from router.simulators.mssante.config import Keep
from router.simulators.sender.maker import Maker
from router.simulators.sender.people import DOCTOR_DOMAIN, HOPITAL_A, HOSPITAL_DOMAIN, PATIENT_DOMAIN
from router.simulators.serve import World, ensure_certificates, world

CLIENTS: Final = "bus clients"
ROLES: Final = ("gateway", "pipelines", "sinks", "feedback", "journal")
MAILBOX: Final = "pfi@hopital-a.test.mssante.fr"
START_SECONDS: Final = 90.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Place:
    """A site and its router. `relay_port` is where the relay's receiver listens."""

    folder: Path
    world: World | None
    ports: dict[str, int]
    relay_port: int
    router: asyncio.subprocess.Process | None = None
    started: float = field(default=0.0)

    @property
    def log(self) -> Path:
        return self.folder / "router.log"

    @property
    def site(self) -> Path:
        return self.folder / "router.yaml"

    async def start(self, code: Path | None = None) -> None:
        """Returns when every worker says that it works; `RuntimeError` with the log's place if it never does.

        code: the folder that goes on PYTHONPATH; default: the one of this process
        """
        environment = dict(os.environ) if code is None else os.environ | {"PYTHONPATH": str(code)}
        with self.log.open("ab") as log:
            self.router = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router.cli.main", "run", "--site", str(self.site),
                stdout=log, stderr=log, start_new_session=True, cwd=code, env=environment,
            )  # fmt: skip
        if not await until(self._ready, START_SECONDS):
            raise RuntimeError(f"the router did not start:\n{self.log.read_text()[-2000:]}")

    def _ready(self) -> bool:
        assert self.router is not None
        if self.router.returncode is not None:
            raise RuntimeError(f"the router stopped with {self.router.returncode}:\n{self.log.read_text()[-2000:]}")
        return all((self.folder / "var" / "run" / f"{role}-0.json").exists() for role in ROLES)

    async def kill(self) -> None:
        """SIGKILL of the supervisor and every worker at once."""
        assert self.router is not None
        os.killpg(self.router.pid, signal.SIGKILL)
        await self.router.wait()
        for file in (self.folder / "var" / "run").glob("*.json"):
            file.unlink()

    async def stop(self) -> None:
        if self.router is None or self.router.returncode is not None:
            return
        self.router.terminate()
        try:
            await asyncio.wait_for(self.router.wait(), 20)
        except TimeoutError:
            os.killpg(self.router.pid, signal.SIGKILL)
            await self.router.wait()

    def workers(self) -> dict[int, str]:
        """Pid -> role of the router's processes, the supervisor included."""
        assert self.router is not None
        found = {self.router.pid: "supervisor"}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError, IndexError, ValueError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.router.pid and b"router.runtime.process" in words:
                    found[int(entry.name)] = words[words.index(b"router.runtime.process") + 2].decode()
        return found

    def cpu(self) -> dict[str, float]:
        """Seconds of processor that each role has used; of all of them, what the threads of bus clients used."""
        spent: defaultdict[str, float] = defaultdict(float)
        for pid, role in self.workers().items():
            spent[role] += cpu_of(pid)
            spent[CLIENTS] += clients_cpu_of(pid)
        return dict(spent)

    def memory(self) -> dict[str, float]:
        """Peak resident megabytes (VmHWM) of each role's largest process."""
        peaks: dict[str, float] = {}
        for pid, role in self.workers().items():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    peaks[role] = max(peaks.get(role, 0.0), round(int(line.split()[1]) / 1024, 1))
        return peaks


def clients_cpu_of(pid: int) -> float:
    """Seconds used by those threads of a process that Kafka's client runs (`router.bus.kafka.client_thread`)."""
    spent = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text().strip() == KERNEL_NAME:
                spent += cpu_of(f"{pid}/task/{task.name}")
    return spent


def cpu_of(pid: int | str) -> float:
    """utime + stime of /proc/<pid>/stat, in seconds; `pid` may be `<pid>/task/<thread>`."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def until(truth: Callable[[], Any], seconds: float) -> bool:
    """Wait until something holds; whether it did in time."""
    end = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True


def free_port() -> int:
    """A TCP port that nobody uses now, and that no outgoing connection is given while the router is down."""
    for port in random.sample(range(15_000, 30_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


@contextlib.asynccontextmanager
async def place(
    folder: Path,
    *,
    bus: dict[str, Any] | None = None,
    national: bool = True,
    checked: bool = False,
    replies: bool = False,
) -> AsyncIterator[Place]:
    """A site in an empty `folder`; the router is not started yet.

    national: with a DMP, an operator and the feed `sil`; checked: they inspect what they get (not for speed);
    replies: business acknowledgements go back to the sender.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ports = {"relais": free_port(), "sil": free_port(), "admin": free_port()}
    relay_port = free_port()
    keep: Keep = "findings" if checked else "envelope"
    async with contextlib.AsyncExitStack() as stack:
        outside = None
        if national:
            made = ensure_certificates(folder / "certificates", {HOPITAL_A.finess: HOPITAL_A.name})
            operator = MssanteConfig(
                certificates=made, client_certificate=True, accounts={MAILBOX: "bench"}, auth="external", keep=keep
            )
            dmp = DmpConfig(certificates=made, checks="metadata" if checked else "none", keep_content=False)
            outside = await stack.enter_async_context(world(made.folder, dmp=dmp, mssante=operator))
        _pipelines(folder, national)
        with (folder / "router.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(_site(folder, outside, ports, relay_port, replies) | (bus or {}), file)
        made_place = Place(folder, outside, ports, relay_port)
        try:
            yield made_place
        finally:
            await made_place.stop()


def _pipelines(folder: Path, national: bool) -> None:
    kept = folder / "pipelines"
    kept.mkdir(exist_ok=True)
    (kept / "relais.yaml").write_text(
        "name: relais\nfeed: relais\nsteps:\n  - set: {MSH-6: DPI}\nsinks:\n  hl7.dpi: {}\n"
        "examples:\n  - {name: relais, message: relais.hl7, expect: {hl7: [hl7.dpi]}}\n"
    )
    (kept / "relais.hl7").write_bytes(template(1_000)(1, "EXEMPLE"))
    if national:
        maker = Maker(1)
        (kept / "national.hl7").write_bytes(maker.message(maker.document("biology", maker.patient())))
        (kept / "national.yaml").write_text(
            "name: national\nfeed: sil\nsteps:\n  - validate: {profile: cisis}\n"
            "sinks:\n  dmp: {when: request.dmp}\n  mssante: {}\n"
            "examples:\n  - {name: national, message: national.hl7, expect: {dmp: delivered}}\n"
        )
        names = "".join(
            f"<Domaine><Nom>{name}</Nom><Description>essai</Description></Domaine>"
            for name in (DOCTOR_DOMAIN, HOSPITAL_DOMAIN, PATIENT_DOMAIN, MAILBOX.partition("@")[2])
        )
        (folder / "liste-blanche.xml").write_text(
            '<?xml version="1.0" encoding="UTF-8"?><ListeBlanche xmlns="https://listeblanche.mssante.fr/schema">'
            f"<DateDeGeneration>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</DateDeGeneration>{names}</ListeBlanche>"
        )


def _site(folder: Path, outside: World | None, ports: dict[str, int], relay_port: int, replies: bool) -> dict[str, Any]:
    quick = {"ceiling": 3, "probe_first": 0.3, "probe_ceiling": 1, "jitter": 0.1}
    site: dict[str, Any] = {
        "environment": "qualification",
        "data": str(folder / "var"),
        "pipelines": "pipelines",
        "feeds": {"relais": {"kind": "relay", "mllp": {"port": ports["relais"]}}},
        "admin": {"port": ports["admin"]},
        "sinks": {"hl7.dpi": {"type": "hl7", "host": "127.0.0.1", "port": relay_port, "timeout": 5}},
        "retry": {"hl7": {"first": 0.3, **quick}},
        "log_level": "WARNING",
    }
    if outside is None:
        return site
    made = outside.certificates
    auth, auth_key = (str(path) for path in made.pair(f"{HOPITAL_A.finess}-auth"))
    sign, sign_key = (str(path) for path in made.pair(f"{HOPITAL_A.finess}-sign"))
    authority = f"{HOPITAL_A.ipp_namespace}&{HOPITAL_A.ipp_oid}&ISO"
    site["structures"] = {
        HOPITAL_A.finess: {
            "name": HOPITAL_A.name, "source_oid": "1.2.250.1.213.1.4.99.10", "ipp_oid": HOPITAL_A.ipp_oid,
            "mailbox": MAILBOX, "dmp": "dmp.essai", "mssante": "mssante.essai",
        }
    }  # fmt: skip
    rules = {"structures": [HOPITAL_A.finess], "autorites": {authority: HOPITAL_A.ipp_oid}}
    site["feeds"]["sil"] = {"mllp": {"port": ports["sil"]}, "rules": rules}
    site["sinks"]["dmp.essai"] = {
        "type": "dmp", "url": outside.dmp.url, "server_ca": str(made.ca), "lps": {"homologation": "ESSAI"},
        "auth": {"certificate": auth, "key": auth_key}, "sign": {"certificate": sign, "key": sign_key},
        "max_per_second": 1000, "visibility_delay": 0.2,
    }  # fmt: skip
    site["sinks"]["mssante.essai"] = {
        "type": "mssante", "host": "127.0.0.1", "port": outside.mssante.smtp_port, "nil": "ESSAI", "connections": 8,
        "tls": {"ca": str(made.ca), "certificate": auth, "key": auth_key}, "login": {"auth": "externe"},
    }  # fmt: skip
    if replies:
        site["feeds"]["sil"]["reply"] = "hl7.expediteur"
        site["sinks"]["hl7.expediteur"] = {"type": "hl7", "host": "127.0.0.1", "port": outside.sender.port}
    site["retry"] |= {"mssante": {"first": 0.8, "factor": 1.5, **quick}, "dmp": {"first": 0.3, **quick}}
    site["directory"] = {"liste_blanche": {"source": str(folder / "liste-blanche.xml"), "minimum": 1, "always": []}}
    return site
