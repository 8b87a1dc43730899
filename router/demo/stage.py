"""The stage: simulators in this process, the real router in processes of its own, a site file between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ruamel.yaml import YAML

from router.config.account import account
from router.errors import Unavailable
from router.runtime.supervisor.workers import die_with_parent
from router.simulators.annuaire import KEY
from router.simulators.annuaire.extraction import write_extraction
from router.simulators.annuaire.people import ORGANISATIONS, PEOPLE
from router.simulators.dmp import DmpConfig
from router.simulators.mssante import MssanteConfig
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.maker import Maker
from router.simulators.sender.mllp import MllpSender, Sent
from router.simulators.sender.people import (
    DOCTOR_DOMAIN,
    HOPITAL_A,
    HOSPITAL_DOMAIN,
    PATIENT_DOMAIN,
    Patient,
    Structure,
)
from router.simulators.serve import World, ensure_certificates, world

START_SECONDS: Final = 90.0
AUTHORITY: Final = f"{HOPITAL_A.ipp_namespace}&{HOPITAL_A.ipp_oid}&ISO"
OUTSIDE: Final = "dr@messagerie-ordinaire.fr"


@dataclass
class Stage:
    """What the scenes play on."""

    folder: Path
    world: World
    maker: Maker
    ports: dict[str, int]
    router: asyncio.subprocess.Process | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "router.log"

    @property
    def site(self) -> Path:
        return self.folder / "router.yaml"

    # ------------------------------------------------------------------------------------------ the router

    async def start(self) -> None:
        """Start the router and wait until every worker works. Raises `Unavailable` with the log's place."""
        with self.log.open("ab") as log:
            self.router = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router.cli.main", "run", "--site", str(self.site),
                stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,
            )  # fmt: skip
        ready = await self.until(self._ready, START_SECONDS)
        if not ready:
            raise Unavailable("DEMO", str(self.log), "the router did not start: see its log")

    async def _ready(self) -> bool:
        if self.router is not None and self.router.returncode is not None:
            raise Unavailable("DEMO", str(self.log), "the router stopped: see its log")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.ports["admin"])
        except OSError:
            return False
        writer.close()
        run = self.folder / "var" / "run"
        return all(
            (run / f"{role}-0.json").exists() for role in ("gateway", "pipelines", "sinks", "feedback", "journal")
        )

    async def kill(self) -> None:
        """SIGKILL to the supervisor and all its workers at once: nobody has time to write anything."""
        assert self.router is not None  # noqa: S101
        os.killpg(self.router.pid, signal.SIGKILL)
        await self.router.wait()
        for file in (self.folder / "var" / "run").glob("*.json"):
            file.unlink()

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL after 20 s; returns the router's exit code."""
        if self.router is None or self.router.returncode is not None:
            return 0
        self.router.terminate()
        try:
            return await asyncio.wait_for(self.router.wait(), 20)
        except TimeoutError:
            os.killpg(self.router.pid, signal.SIGKILL)
            return await self.router.wait()

    # ---------------------------------------------------------------------------------------- the hospital

    async def send(self, *messages: bytes, feed: str = "sil", connections: int = 1) -> list[Sent]:
        """Hand messages to a listener, as a sender that repeats what got no answer."""
        async with MllpSender(
            "127.0.0.1", self.ports[feed], connections=connections, retries=480, pause=0.25, timeout=20
        ) as sender:
            return await sender.send_all(messages)

    def patient(self, **options: Any) -> Patient:
        return self.maker.patient(**options)

    def recipient(self) -> Recipient:
        """A doctor whom no other scene writes to."""
        return self.maker.recipient()

    # ------------------------------------------------------------------------------------- what was received

    def mails(self, uid: str = "", to: str = "") -> list[Any]:
        """Mails the operator took over, by document and recipient."""
        return [
            mail
            for mail in self.world.mssante.mails
            if (not uid or uid in mail.documents) and (not to or mail.envelope.recipient.lower() == to.lower())
        ]

    def dmp_status(self, uid: str) -> str:
        """Status of a document at the DMP, "" when it never got there."""
        found = self.world.dmp.documents.get(uid)
        return found.status.rpartition(":")[2] if found else ""

    def answers(self, control_id: str) -> list[str]:
        """What came back to the sender: `Z01 Y`, `Z02 N 510`…, in order of arrival."""
        told = []
        for one in self.world.sender.received:
            if one.original == control_id:
                shown = one.shown()
                error = str(shown["error"]).partition("^")[0]
                told.append(f"{one.trigger.split('^')[1]} {shown['outcome']} {error}".strip())
        return told

    async def until(self, truth: Callable[[], Any], seconds: float = 20.0) -> bool:
        """Wait until something holds; whether it did in time."""
        end = time.monotonic() + seconds
        while True:
            found = truth()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return True
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def stage(
    folder: Path,
    *,
    seed: int,
    bus: dict[str, Any] | None = None,
    others: Mapping[str, Structure] = MappingProxyType({}),
) -> AsyncIterator[Stage]:
    """A clean stage in `folder`, everything outside the router running; the router is not started yet.

    others: mailbox -> a hospital more that has certificates and this account; the site file doesn't know it
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    hospitals = {one.finess: one.name for one in (HOPITAL_A, *others.values())}
    certificates = ensure_certificates(folder / "certificates", hospitals)
    mailbox = f"pfi@{MAIL_DOMAIN}"
    dmp = DmpConfig(certificates=certificates)
    mssante = MssanteConfig(
        certificates=certificates,
        client_certificate=True,
        accounts=dict.fromkeys((mailbox, *others), "demo"),
        auth="external",
        folder=folder / "mailboxes",
    )
    async with world(folder / "certificates", dmp=dmp, mssante=mssante) as outside:
        ports = {name: _free() for name in ("sil", "ris", "gam", "http", "admin")}
        (folder / "liste-blanche.xml").write_text(_liste_blanche())
        _annuaire(folder)
        _copy_pipelines(folder)
        site = _site(folder, outside, ports, mailbox, bus)
        with (folder / "router.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(site, file)
        played = Stage(folder, outside, Maker(seed), ports)
        try:
            yield played
        finally:
            await played.stop()


MAIL_DOMAIN: Final = "hopital-a.test.mssante.fr"


def _free() -> int:
    """A port below the ephemeral range: a sender that reconnects while nobody listens must never meet itself there."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311  # any will do
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _copy_pipelines(folder: Path) -> None:
    shipped = Path(__file__).resolve().parents[2] / "pipelines"
    if not shipped.is_dir():
        raise Unavailable("DEMO", str(shipped), "the demo runs from a checkout: its pipelines are not there")
    (folder / "pipelines").mkdir()
    for file in ("biologie.yaml", "imagerie.yaml", "lettres.yaml"):
        shutil.copy(shipped / file, folder / "pipelines" / file)
    letters = folder / "pipelines" / "lettres.yaml"
    looked_up = "  - enrich: {patient: register}\n  - look_up: {recipients: annuaire}\n"
    letters.write_text(letters.read_text().replace("  - enrich: {patient: register}\n", looked_up))
    shutil.copytree(shipped / "samples", folder / "pipelines" / "samples")


def _annuaire(folder: Path) -> None:
    """An extraction of yesterday, before the first of the people had a mailbox; the key of the annuaire online."""
    write_extraction(folder / "extraction.txt", PEOPLE[1:], ORGANISATIONS)
    (folder / "annuaire.key").touch(0o600)
    (folder / "annuaire.key").write_text(KEY)


def _liste_blanche() -> str:
    names = "".join(
        f"<Domaine><Nom>{name}</Nom><Description>Démonstration</Description></Domaine>"
        for name in (DOCTOR_DOMAIN, HOSPITAL_DOMAIN, PATIENT_DOMAIN, MAIL_DOMAIN)
    )
    schema = "https://listeblanche.mssante.fr/schema"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ListeBlanche xmlns="{schema}">'
        f"<DateDeGeneration>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</DateDeGeneration>{names}</ListeBlanche>"
    )


def _site(
    folder: Path, outside: World, ports: dict[str, int], mailbox: str, bus: dict[str, Any] | None
) -> dict[str, Any]:
    """The demo's `router.yaml`: one hospital, two document feeds, one ADT feed, both sinks, answers to the sender."""
    made = outside.certificates
    auth, auth_key = made.pair(f"{HOPITAL_A.finess}-auth")
    sign, sign_key = made.pair(f"{HOPITAL_A.finess}-sign")
    rules = {"autorites": {AUTHORITY: HOPITAL_A.ipp_oid}, "resolution_annuaire": "si-absente"}
    documents = {"http": True, "reply": "hl7.expediteur", "rules": rules}
    quick = {"ceiling": 5, "probe_first": 0.3, "probe_ceiling": 1}
    site: dict[str, Any] = {
        "environment": "qualification",
        "data": str(folder / "var"),
        "pipelines": "pipelines",
        "structures": {
            HOPITAL_A.finess: {
                "name": HOPITAL_A.name,
                "source_oid": "1.2.250.1.213.1.4.99.10",
                "ipp_oid": HOPITAL_A.ipp_oid,
                "mailbox": mailbox,
                "dmp": "dmp.hopital-a",
                "mssante": "mssante.hopital-a",
            }
        },
        "feeds": {
            "sil": {"mllp": {"port": ports["sil"]}, **documents},
            "ris": {"mllp": {"port": ports["ris"]}, **documents},
            "gam": {"kind": "adt", "mllp": {"port": ports["gam"]}, "rules": {"autorites": rules["autorites"]}},
        },
        "http": {"port": ports["http"]},
        "admin": {"port": ports["admin"]},
        "operators": {"withdraw": [account()]},
        "sinks": {
            "dmp.hopital-a": {
                "type": "dmp",
                "url": outside.dmp.url,
                "auth": {"certificate": str(auth), "key": str(auth_key)},
                "sign": {"certificate": str(sign), "key": str(sign_key)},
                "server_ca": str(made.ca),
                "lps": {"homologation": "DEMO-0001"},
                "max_per_second": 50,
                "visibility_delay": 0.2,
                "keep": str(folder / "dmp"),
            },
            "mssante.hopital-a": {
                "type": "mssante",
                "host": "127.0.0.1",
                "port": outside.mssante.smtp_port,
                "tls": {"ca": str(made.ca), "certificate": str(auth), "key": str(auth_key)},
                "login": {"auth": "externe"},
                "nil": "DEMO-0001",
                "keep": str(folder / "mails"),
                "imap": {
                    "host": "127.0.0.1",
                    "port": outside.mssante.imap_port,
                    "login": {"auth": "externe"},
                    "poll_seconds": 0.3,
                },
            },
            "hl7.expediteur": {"type": "hl7", "host": "127.0.0.1", "port": outside.sender.port},
        },
        "retry": {
            "mssante": {"first": 1.5, "factor": 1.5, "jitter": 0.1, **quick},
            "dmp": {"first": 0.5, **quick},
            "hl7": {"first": 0.5, **quick},
        },
        "directory": {
            "liste_blanche": {"source": str(folder / "liste-blanche.xml"), "minimum": 1, "always": []},
            "annuaire": {"extraction": str(folder / "extraction.txt"), "minimum": 1},
            "fhir": {"url": outside.annuaire.url, "key": {"file": str(folder / "annuaire.key")}},
            "sources": ["table", "extraction", "fhir"],
        },
    }
    if bus is not None:
        site |= bus
    return site
