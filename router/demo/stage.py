"""The stage: simulators in this process, the real router in processes of its own, a site file between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
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
from router.simulators.idp import PEOPLE as IDP_PEOPLE
from router.simulators.idp import IdpConfig, IdpPerson, IdpSimulator
from router.simulators.mssante import MssanteConfig
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.maker import Maker
from router.simulators.sender.mllp import MllpSender, Sent
from router.simulators.sender.people import Patient, Structure
from router.simulators.serve import World, ensure_certificates, world
from router.starter.profiles import A, Feed, Profile
from router.starter.write import CERTIFICATES, SITE, fill

START_SECONDS: Final = 90.0
SENDER: Final = "expediteur"
ROLES: Final = ("gateway", "pipelines", "sinks", "feedback", "journal")
OUTSIDE: Final = "dr@messagerie-ordinaire.fr"


@dataclass
class Stage:
    """What the scenes play on."""

    folder: Path
    world: World
    maker: Maker
    ports: dict[str, int]
    console: bool = True
    people: tuple[IdpPerson, ...] = ()
    """Of the simulated identity provider, with passwords of this demo alone."""
    router: asyncio.subprocess.Process | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "router.log"

    @property
    def site(self) -> Path:
        return self.folder / SITE

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
        return all((run / f"{role}-0.json").exists() for role in (*ROLES, *(["console"] if self.console else [])))

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
    console: bool = True,
) -> AsyncIterator[Stage]:
    """A clean stage in `folder`, everything outside the router running; the router is not started yet.

    others: mailbox -> a hospital more that has certificates and this account; the site file doesn't know it
    console: whether the site has one: a process more, and the one that takes longest to start
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    hospitals = {one.finess: one.name for one in (A.structure, *others.values())}
    certificates = ensure_certificates(folder / CERTIFICATES, hospitals)
    dmp = DmpConfig(certificates=certificates)
    mssante = MssanteConfig(
        certificates=certificates,
        client_certificate=True,
        accounts=dict.fromkeys((A.mailbox, *others), "demo"),
        owners={A.mailbox: A.structure.id_nat} | {mailbox: one.id_nat for mailbox, one in others.items()},
        auth="external",
        folder=folder / "mailboxes",
    )
    people = tuple(replace(one, password=secrets.token_urlsafe(9)) for one in IDP_PEOPLE)
    idp = IdpSimulator(IdpConfig(client_secret=secrets.token_urlsafe(24), people=people))
    async with world(folder / CERTIFICATES, dmp=dmp, mssante=mssante) as outside, idp:
        ports = {name: _free() for name in ("sil", "ris", "gam", "http", "admin", "console")}
        more = {"console": _console(folder, idp, ports["console"])} if console else {}
        _write(folder, _profile(outside, ports), outside.annuaire.url, more | (bus or {}))
        played = Stage(folder, outside, Maker(seed), ports, console, people)
        try:
            yield played
        finally:
            await played.stop()


def _free() -> int:
    """A port below the ephemeral range: a sender that reconnects while nobody listens must never meet itself there."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311  # any will do
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _write(folder: Path, profile: Profile, annuaire: str, more: dict[str, Any]) -> None:
    """The site of `segur-router init` for this profile, in a hurry, with more keys."""
    fill(folder, profile)
    path = folder / SITE
    yaml = YAML()
    site = yaml.load(path.read_text(encoding="utf-8"))
    _hurry(site, folder)
    _annuaire(site, folder, annuaire)
    site |= more
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(site, file)


def _console(folder: Path, idp: IdpSimulator, port: int) -> dict[str, Any]:
    """Local accounts, or the simulated identity provider of the hospital: people choose at the login."""
    secret = folder / "oidc.secret"
    secret.touch(0o600)
    secret.write_text(idp.config.client_secret)
    groups = {"pfi-lecture": {A.structure.finess: "reader"}, "pfi-exploitation": {A.structure.finess: "operator"}}
    oidc = {
        "issuer": idp.issuer,
        "client_id": idp.config.client_id,
        "client_secret": {"file": str(secret)},
        "groups": groups | {"pfi-administration": {"*": "administrator"}},
    }
    return {"port": port, "address": f"http://127.0.0.1:{port}", "oidc": oidc}


def _annuaire(site: dict[str, Any], folder: Path, url: str) -> None:
    """An extraction of yesterday, before the first of the people had a mailbox; the annuaire online; a look-up."""
    write_extraction(folder / "extraction.txt", PEOPLE[1:], ORGANISATIONS)
    key = folder / "annuaire.key"
    key.touch(0o600)
    key.write_text(KEY)
    site["directory"] |= {
        "annuaire": {"extraction": str(folder / "extraction.txt"), "minimum": 1},
        "fhir": {"url": url, "key": {"file": str(key)}},
        "sources": ["table", "extraction", "fhir"],
    }
    for name in ("sil", "ris"):
        site["feeds"][name].setdefault("rules", {})["resolution_annuaire"] = "si-absente"
    letters = folder / "pipelines" / "lettres.yaml"
    enriched = "  - enrich: {patient: register}\n"
    letters.write_text(letters.read_text().replace(enriched, f"{enriched}  - look_up: {{recipients: annuaire}}\n"))


def _profile(outside: World, ports: dict[str, int]) -> Profile:
    """One hospital, two document feeds that share an endpoint for their answers, one ADT feed."""
    return Profile(
        "demo",
        (A,),
        (
            Feed("sil", ports["sil"], "documents", (A,), http=True, reply=SENDER),
            Feed("ris", ports["ris"], "documents", (A,), http=True, reply=SENDER),
            Feed("gam", ports["gam"], "adt", (A,)),
        ),
        {SENDER: (outside.sender.port, "l'expéditeur")},
        http=ports["http"],
        admin=ports["admin"],
        dmp=outside.dmp.port,
        smtp=outside.mssante.smtp_port,
        imap=outside.mssante.imap_port,
    )


def _hurry(site: dict[str, Any], folder: Path) -> None:
    """What differs from a site that `segur-router init` writes: nobody waits long, and all that leaves is kept."""
    quick = {"ceiling": 5, "probe_first": 0.3, "probe_ceiling": 1}
    sinks = site["sinks"]
    sinks[f"dmp.{A.instance}"] |= {"max_per_second": 50, "visibility_delay": 0.2, "keep": str(folder / "dmp")}
    mssante = sinks[f"mssante.{A.instance}"]
    mssante["anciens_destinataires"] = "prevenir"
    mssante["keep"] = str(folder / "mails")
    mssante["imap"]["poll_seconds"] = 0.3
    site["data"] = str(folder / "var")
    site["operators"] = {"withdraw": [account()]}
    site["retry"] = {
        "mssante": {"first": 1.5, "factor": 1.5, "jitter": 0.1, **quick},
        "dmp": {"first": 0.5, **quick},
        "hl7": {"first": 0.5, **quick},
    }
