"""Marked identities go through every path, failures included; then every trace is searched for them."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.bus.sqlite import SqliteBus
from router.config.site import Site
from router.demo.stage import OUTSIDE, Stage, stage
from router.runtime.house import House
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.people import Patient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
FAMILY, GIVEN, TEXT = "MARQUEUSE", "MARQUETTE", "TEXTEMARQUE"


async def _day(played: Stage, patient: Patient) -> None:
    """Nominal, refused, unreadable, dead-lettered, repeated, an ADT, a raw CDA."""
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
    await played.send(*messages)
    await played.send(maker.adt("A31", patient, opposition="IO"), feed="gam")
    request = urllib.request.Request(
        f"http://127.0.0.1:{played.ports['http']}/feeds/sil",
        data=other.content,
        headers={"Content-Type": "application/xml", "X-Segur-Request-Id": "R1", "X-Segur-Dmp": FAMILY},
    )
    await asyncio.to_thread(_ignoring_errors, request)
    await played.until(lambda: len(played.world.sender.received) >= 5, 20)
    await asyncio.sleep(1)


def _ignoring_errors(request: urllib.request.Request) -> None:
    try:
        urllib.request.urlopen(request, timeout=10).read()  # noqa: S310  # our own listener
    except urllib.error.HTTPError as error:
        error.read()


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], list[str]]]:
    """What the router left behind, by place, and the marks to look for."""
    folder = tmp_path_factory.mktemp("secrecy") / "stage"

    async def play() -> tuple[dict[str, str], list[str]]:
        async with stage(folder, seed=77) as played:
            patient = played.maker.patient(family=FAMILY, given=GIVEN)
            await played.start()
            await _day(played, patient)
            metrics = await asyncio.to_thread(_metrics, played.ports["admin"])
            found = {"metrics": metrics, **_terminal(played)}
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
    """What an operator's commands show without asking for the content."""
    first = f"S{played.maker.seed}-000001"
    shown = {}
    for words in (["explain", first], ["dlq", "ls"], ["dlq", "ls", "--json"]):
        command = [sys.executable, "-m", "router.cli.main", *words, "--site", str(played.site)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr
        shown[" ".join(words)] = done.stdout + done.stderr
    return shown


def _bus(site: Path) -> dict[str, str]:
    """Keys and headers of every record, and the values of the topics that carry no payload."""
    house = House(Site(site))
    bus = SqliteBus(house.data("bus.db"))
    found: dict[str, list[str]] = {"keys and headers": [], "receipts and journal": []}
    for plan in house.plans():
        for record in bus.scan(plan.name):
            headers = {name: value for name, value in record.headers.items() if name != "ack-bytes"}
            found["keys and headers"].append(f"{plan.name} {record.key} {headers}")
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


def test_the_day_left_traces(traces: tuple[dict[str, str], list[str]]) -> None:
    """The search below looks at something: each place holds what it should."""
    found, _ = traces
    assert "segur_acks_total" in found["metrics"]
    assert "Destinations" in next(text for place, text in found.items() if place.startswith("explain"))
    assert "MSS-552" in found["dlq ls"]
    assert "in.sil" in found["keys and headers"]
    assert '"disposition"' in found["receipts and journal"]


@pytest.mark.parametrize(
    "place",
    ["metrics", "log", "explain S77-000001", "dlq ls", "dlq ls --json", "keys and headers", "receipts and journal",
     "ledger", "journal", "register"],
)  # fmt: skip
def test_no_patient_in(place: str, traces: tuple[dict[str, str], list[str]]) -> None:
    """No name, INS, IPP, title or body of the marked patient stands there."""
    found, marks = traces
    text = found[place].upper()
    assert [mark for mark in marks if mark.upper() in text] == []
