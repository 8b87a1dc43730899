"""Marked identities go through every path, failures included; then every trace is searched for them."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.cli.main import app
from router.config.site import Site
from router.demo.stage import OUTSIDE, Stage, stage
from router.runtime.site_services import SiteServices
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.people import Patient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
FAMILY, GIVEN, TEXT = "MARQUEUSE", "MARQUETTE", "TEXTEMARQUE"
_DEAD = 2
"""Deliveries that end as dead letters: the full mailbox, the refused deposit."""


async def _day(played: Stage, patient: Patient) -> str:
    """Nominal, refused, unreadable, dead-lettered, repeated, an outage, an ADT, a raw CDA. Returns every answer."""
    maker, full = played.maker, played.recipient()
    played.world.mssante.refuse(full.address, 552, "5.2.2", "full")
    played.world.dmp.refuse("XDSRegistryMetadataError", count=1, context=f"{FAMILY} {GIVEN}")
    outside = Recipient(professional=maker.doctor, address=OUTSIDE)
    report = maker.document("biology", patient, title=TEXT)
    good = maker.message(report, recipients=[full, outside], patient_mail=True, body_professionals=TEXT)
    other = maker.document("biology", patient)
    messages = [
        good,
        good,
        maker.message(other, pid32=["PROV"]),
        maker.message(other, payload=["PENsaW5pY2FsRG9jdW1lbnQ+A"]),
        maker.message(other, patient=maker.patient(family=FAMILY)),
        maker.message(other, fields={"ORC-1": FAMILY}),
        maker.message(maker.document("letter", patient), recipients=[]),
        b"MSH|^~\\&|SIL|A|PFI|PFI|" + FAMILY.encode(),
        FAMILY.encode(),
    ]
    await played.world.mssante.outage()
    sent = await played.send(*messages)
    assert await played.until(lambda: "circuit-open" in played.log.read_text(), 60)
    await played.world.mssante.restore()
    sent += await played.send(maker.adt("A31", patient, opposition="IO"), feed="gam")
    for name, message in zip(("good", "unqualified", "stranger"), (good, messages[2], messages[4]), strict=True):
        (played.folder / f"{name}.hl7").write_bytes(message)
    request = urllib.request.Request(
        f"http://127.0.0.1:{played.ports['http']}/feeds/sil",
        data=other.content,
        headers={"Content-Type": "application/xml", "X-Segur-Request-Id": "R1", "X-Segur-Dmp": FAMILY},
    )
    http = await asyncio.to_thread(_answer, request)
    await played.until(lambda: len(played.world.sender.received) >= 5, 20)
    await played.until(lambda: _dead(played) >= _DEAD, 60)
    return "\n".join([*((one.ack or b"").decode("utf-8", "replace") for one in sent), http])


def _answer(request: urllib.request.Request) -> str:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own listener
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def _dead(played: Stage) -> int:
    """Deliveries that the ledger holds as dead letters."""
    with sqlite3.connect(f"file:{played.folder}/var/ledger.db?mode=ro", uri=True) as connection:
        return int(connection.execute("SELECT count(*) FROM ledger_deliveries WHERE state = 'dead'").fetchone()[0])


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], list[str]]]:
    """What the router left behind, by place, and the marks to look for."""
    folder = tmp_path_factory.mktemp("secrecy") / "stage"

    async def play() -> tuple[dict[str, str], list[str]]:
        async with stage(folder, seed=77) as played:
            patient = played.maker.patient(family=FAMILY, given=GIVEN)
            with played.site.open("a") as site:
                site.write("log_level: DEBUG\n")
            await played.start()
            answers = await _day(played, patient)
            metrics = await asyncio.to_thread(_metrics, played.ports["admin"])
            found = {"answers": answers, "metrics": metrics, **await asyncio.to_thread(_terminal, played)}
            await played.stop()
            found["log"] = played.log.read_text()
            found |= _bus(played.site)
            found |= _databases(folder / "var")
            return found, [FAMILY, GIVEN, TEXT, str(patient.ins), patient.ipp]

    yield asyncio.run(play())


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def _terminal(played: Stage) -> dict[str, str]:
    """What an operator's commands show without asking for the content, as text and as JSON."""
    groups = json.loads(_command(played, "dlq", "ls", "--json"))
    causes = [str(group["cause"]) for group in groups]
    sent = [f"S{played.maker.seed}-{number:06}" for number in range(1, 8)]
    biology = str(played.folder / "pipelines" / "biologie.yaml")
    asked: dict[str, list[Sequence[str]]] = {
        "explain": [["explain", name] for name in sent],
        "dlq": [["dlq", "ls"], *(["dlq", "show", cause] for cause in causes)],
        "replay": [["dlq", "replay", "all", "--dry-run"], ["dlq", "replay", "all", "--dry-run", "--decide-again"]],
        "check": [["check"], ["test"]],
        "try": [["try", biology, str(played.folder / f"{name}.hl7")] for name in ("good", "unqualified", "stranger")],
        "impact": [["impact", "1234"]],
    }
    shown = {}
    for name, commands in asked.items():
        shown[name] = "\n".join(_command(played, *words) for words in commands)
        shown[f"{name} --json"] = "\n".join(_command(played, *words, "--json") for words in commands)
    return shown


def _command(played: Stage, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--site", str(played.site)])
    assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
    return result.stdout if "--json" in words else result.output


def _bus(site: Path) -> dict[str, str]:
    """Keys and headers of every record, and the values of the topics that carry no payload."""
    services = SiteServices(Site(site))
    bus = SqliteBus(services.data("bus.db"))
    found: dict[str, list[str]] = {"keys and headers": [], "stored answers": [], "receipts and journal": []}
    for plan in services.plans():
        for record in bus.scan(plan.name):
            headers = {name: value for name, value in record.headers.items() if name != "ack-bytes"}
            found["keys and headers"].append(f"{plan.name} {record.key} {headers}")
            stored = base64.b64decode(record.headers.get("ack-bytes", ""))
            found["stored answers"].append(stored.decode("utf-8", "replace"))
            if plan.name in ("receipts", "journal"):
                found["receipts and journal"].append(record.value.decode())
    bus.close()
    return {name: "\n".join(lines) for name, lines in found.items()}


def _databases(folder: Path) -> dict[str, str]:
    """Every text of ledger, journal and register."""
    found = {}
    for name in ("ledger", "journal", "register"):
        with sqlite3.connect(folder / f"{name}.db") as connection:
            found[name] = "\n".join(connection.iterdump())
    return found


PLACES = (
    *(f"{name}{json}" for name in ("explain", "dlq", "replay", "check", "try", "impact") for json in ("", " --json")),
    "answers", "metrics", "log", "keys and headers", "stored answers", "receipts and journal", "ledger", "journal",
    "register",
)  # fmt: skip


def test_the_day_left_traces(traces: tuple[dict[str, str], list[str]]) -> None:
    """The search below looks at something: each place holds what it should."""
    found, _ = traces
    assert set(found) == set(PLACES)
    for place, words in {
        "metrics": ["segur_acks_total"],
        "answers": ["MSA|AA|", "MSA|AE|", "ERR|"],
        "stored answers": ["MSA|AA|"],
        "explain": ["Destinations", "MSS-552", "XDSRegistryMetadataError"],
        "dlq": ["MSS-552", "XDSRegistryMetadataError", "delivery"],
        "replay": ["would be done"],
        "try": ["gateway", "AE R46", "AE R42"],
        "keys and headers": ["in.sil", "dlq.intake"],
        "receipts and journal": ['"disposition"'],
        "log": ["ready: gateway", "circuit-open"],
    }.items():
        assert [word for word in words if word not in found[place]] == [], place


@pytest.mark.parametrize("place", PLACES)
def test_no_patient_in(place: str, traces: tuple[dict[str, str], list[str]]) -> None:
    """No name, INS, IPP, title or body of the marked patient stands there."""
    found, marks = traces
    text = found[place].upper()
    assert [mark for mark in marks if mark.upper() in text] == []


_CRASH = """
import sys, threading
import router.runtime.roles as roles
from router.runtime import process

class Crashing:
    def run(self, ready):
        ready({})
        def fall(): raise RuntimeError("in a thread: MARQUEUSE")
        thread = threading.Thread(target=fall)
        thread.start()
        thread.join()
        raise ValueError("no such patient: MARQUEUSE MARQUETTE")
    def stop(self): ...

roles.open_role = lambda name, house, slot: Crashing()
sys.exit(process.main([sys.argv[1], "journal", "0"]))
"""


def test_a_worker_that_crashes_says_where_and_no_word_of_the_exception(tmp_path: Path) -> None:
    """An unexpected exception whose text quotes a value: its class and its place are logged, its text is not."""
    site = tmp_path / "router.yaml"
    site.write_text(
        "environment: qualification\nfeeds: {r: {kind: relay, mllp: {port: 0}}}\n"
        "sinks: {hl7.d: {type: hl7, host: 127.0.0.1, port: 1}}\nlog_level: DEBUG\n"
    )
    command = [sys.executable, "-c", _CRASH, str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert '"error": "ValueError"' in done.stderr
    assert '"error": "RuntimeError"' in done.stderr
    assert "MARQU" not in done.stdout + done.stderr


_LIBRARIES = """
import logging, sys, warnings
from router.observe import logs
logs.hush()
logs.configure(role="sinks", level="DEBUG")
for name in ("kafka", "kafka.conn", "httpx", "httpcore", "aiosmtplib", "imaplib", "imapclient", "uvicorn.error",
             "sqlalchemy.engine", "asyncio", "hl7apy"):
    logger = logging.getLogger(name)
    logger.setLevel("DEBUG")
    try:
        raise OSError("MARQUEUSE")
    except OSError:
        for level in ("debug", "info", "warning", "error", "exception", "critical"):
            getattr(logger, level)("%s said %s", "MARQUEUSE", {"name": "MARQUETTE"})
warnings.warn("MARQUEUSE")
raise LookupError("MARQUEUSE")
"""


def test_foreign_libraries_and_python_itself_keep_their_words() -> None:
    """Loggers of kafka, httpx, SMTP and IMAP at DEBUG, warnings, an uncaught exception: named, never quoted."""
    done = subprocess.run([sys.executable, "-c", _LIBRARIES], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert '"name": "aiosmtplib"' in done.stderr
    assert '"error": "LookupError"' in done.stderr
    assert "MARQU" not in done.stdout + done.stderr
