"""`audit` and `traces`: what commands write there, whether it is whole, and copies of both."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from router.cli.main import app
from router.config.account import account
from router.config.site import Site
from router.contracts import Row, out_topic
from router.errors import OperatorFault
from router.exchange import Delivery, Origin, Receipt, ReceiptKind, Spoken, State
from router.runtime.site_services import SiteServices
from router.wire import delivery_record
from tests.cli.cli import Said, command

SITE = """\
environment: qualification
data: var
admin: {port: 0}
feeds: {sil: {kind: relay, mllp: {port: 0}}}
sinks: {hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}}
"""
BODY = b"MSH|^~\\&|SIL|LABO|PFI|CHU|20260101||ADT^A01|M1|P|2.5\rPID|1||||DUPONT^MARIE\r"
EVENT, DELIVERY = "e" * 64, "d" * 32


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site with one dead letter."""
    path = tmp_path / "router.yaml"
    path.write_text(SITE)
    (tmp_path / "pipelines").mkdir()
    with closing(SiteServices(Site(path))) as services:
        made = Delivery(
            id=DELIVERY, event_id=EVENT, sink="hl7.dpi", destination="hl7", key="k", lane="k:hl7", payload=BODY,
            origin=Origin("in.sil", 0, 0), feed="sil", pipeline="relais", label="x", created=1.0,
        )  # fmt: skip
        (at,) = services.bus.producer("test").publish([delivery_record(made, out_topic("hl7.dpi"))])
        row = Row(delivery=made, partition=at.partition, sequence=at.offset, bytes_at=at, state=State.DEAD, attempts=2,
                  code="HL7-AE", text="", evidence={"place": "ACK"}, updated=2.0)  # fmt: skip
        ledger = services.ledger()
        ledger.open([row])
        ledger.save([row])
    return path


def asked(site: Path, *words: str, typed: str = "") -> Said:
    return command(*words, "--site", str(site), typed=typed)


def rows(site: Path, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(site, "audit", "ls", "--json", *words).json
    return found


def change(site: Path, statement: str) -> None:
    with closing(sqlite3.connect(site.parent / "var" / "audit.db")) as table, table:
        table.execute(statement)


def test_who_looks_at_a_content_stands_in_the_audit(site: Path) -> None:
    """The account, the event, the reason; without `--content` nothing is written."""
    assert "DUPONT" not in asked(site, "dlq", "show", DELIVERY).out and rows(site) == []
    assert "DUPONT" in asked(site, "dlq", "show", DELIVERY, "--content", "--reason", "appel du labo").out
    (row,) = rows(site, "--action", "viewed")
    assert (row["who"], row["object"], row["reason"], row["source"]) == (account(), EVENT, "appel du labo", "cli")


def test_what_can_not_be_audited_is_not_shown(site: Path) -> None:
    """The row comes first: while the audit can't be written the content stays hidden."""
    (site.parent / "var" / "audit.db").mkdir()
    said = CliRunner().invoke(app, ["dlq", "show", DELIVERY, "--content", "--site", str(site)])
    assert isinstance(said.exception, OperatorFault) and said.exception.code == "AUDIT-CANTOPEN"
    assert "DUPONT" not in said.stdout


def test_orders_about_dead_letters_stand_in_the_audit(site: Path) -> None:
    """What was named and how many that is, then each delivery with its answer; a dry run gives no order."""
    asked(site, "dlq", "replay", "all", "--dry-run")
    assert rows(site) == []
    asked(site, "dlq", "discard", DELIVERY, "--reason", "doublon", "--yes")
    answered, ordered = rows(site, "--action", "discarded")
    assert (ordered["kind"], ordered["object"], ordered["detail"]) == ("cause", DELIVERY, "count=1")
    assert (answered["object"], answered["refused"], answered["reason"]) == (EVENT, False, "doublon")
    assert answered["detail"].startswith(f"delivery={DELIVERY}")


def test_a_search_for_a_patient_keeps_his_pseudonym_alone(site: Path) -> None:
    """Who asked, and for whom, without saying whom."""
    asked(site, "search", "--patient", "279035121518989")
    (row,) = rows(site)
    assert row["action"] == "searched" and row["kind"] == "patient" and "279035121518989" not in json.dumps(row)
    asked(site, "impact", "279035121518989")
    assert [one["action"] for one in rows(site)] == ["searched"] * 2 and "279035121518989" not in json.dumps(rows(site))


def test_a_refused_withdrawal_stands_in_the_audit(site: Path) -> None:
    """Asked for and not granted."""
    assert asked(site, "withdraw", "1.2.3", "--reason", "erreur", "--yes").code == 2
    (row,) = rows(site, "--refused")
    assert (row["action"], row["object"], row["refused"]) == ("withdrawn", "1.2.3", True)


def test_a_changed_row_is_named(site: Path, french: None) -> None:
    """Exit code 1 and a sentence with the row's number; a JSON for programs."""
    for number in range(3):
        asked(site, "dlq", "show", DELIVERY, "--content", "--reason", f"raison {number}")
    whole = asked(site, "audit", "verify", "--lang", "fr")
    assert whole.code == 0 and "intact : 3 lignes, jusqu’au numéro 3" in whole.out
    change(site, "UPDATE audit_rows SET who='personne' WHERE number=2")
    said = asked(site, "audit", "verify", "--lang", "fr")
    assert said.code == 1 and "la ligne 2 a été modifiée après son écriture" in said.out
    assert asked(site, "audit", "verify", "--json").json["finding"] == {"fault": "changed", "number": 2}
    assert asked(site, "audit", "verify", "--accept", "--reason", "x", "--yes").code == 1  # evidence stays


def test_an_end_that_a_restore_has_lost_is_accepted_by_a_person(site: Path) -> None:
    """With a reason, in a row of its own; then the chain is whole."""
    for _ in range(2):
        asked(site, "dlq", "show", DELIVERY, "--content")
    change(site, "DELETE FROM audit_rows WHERE number=2")
    change(site, "UPDATE audit_marks SET number=1, mac=(SELECT mac FROM audit_rows WHERE number=1) WHERE name='head'")
    assert asked(site, "audit", "verify").code == 1
    assert asked(site, "audit", "verify", "--accept", "--yes").code == 2
    assert asked(site, "audit", "verify", "--accept", "--reason", "sauvegarde de lundi", typed="n\n").code == 1
    assert asked(site, "audit", "verify", "--accept", "--reason", "sauvegarde de lundi", "--yes").code == 0
    (row,) = rows(site, "--action", "verified")
    assert row["reason"] == "sauvegarde de lundi" and row["detail"].startswith("accepted=cut anchor=2:")


def test_a_pod_whose_anchor_is_elsewhere_keeps_none(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is lost with it: it writes rows and no anchor, and says that it can't compare the end."""
    monkeypatch.setenv("SEGUR_AUDIT_ANCHOR", "elsewhere")
    for _ in range(2):
        asked(site, "dlq", "show", DELIVERY, "--content")
    said = asked(site, "audit", "verify")
    assert said.code == 0 and "nothing outside of the table" in said.out
    assert len(rows(site)) == 2 and not list(site.parent.rglob("audit-head*"))


def test_a_copy_of_the_audit_says_that_it_was_taken(site: Path) -> None:
    """Both forms, the oldest row first; a spreadsheet computes nothing of it."""
    asked(site, "dlq", "show", DELIVERY, "--content", "--reason", "=HYPERLINK(1)")
    table = list(csv.DictReader(io.StringIO(asked(site, "audit", "export", "--reason", "contrôle").out)))
    assert [(line["number"], line["action"], line["reason"]) for line in table] == [("1", "viewed", "'=HYPERLINK(1)")]
    lines = [json.loads(line) for line in asked(site, "audit", "export", "--format", "jsonl").out.splitlines()]
    assert [line["action"] for line in lines] == ["viewed", "exported"] and lines[1]["reason"] == "contrôle"
    assert lines[0]["time"].endswith(("+01:00", "+02:00")) and rows(site)[0]["detail"] == "format=jsonl up-to=2"


def test_traces_are_exported_with_local_time_and_that_is_audited(site: Path) -> None:
    """Author, time with its offset, action, request, answer, failures too; a period narrows it."""
    said = Spoken(at=1_793_000_000.0, protocol="smtp", server="smtp:465", author="labo@chu.fr", action="RCPT",
                  answer="MSS-550", ok=False)  # fmt: skip
    receipt = Receipt(delivery_id=DELIVERY, event_id=EVENT, sink="mssante.chu", kind=ReceiptKind.ATTEMPT, ok=False,
                      at=1.0, label="adam.hoda@x.fr", spoken=(said,))  # fmt: skip
    with closing(SiteServices(Site(site))) as services:
        services.traces.keep([], [receipt])
    (line,) = csv.DictReader(io.StringIO(asked(site, "traces", "export").out))
    assert line == {
        "time": "2026-10-26T08:33:20.000+01:00" if line["time"].endswith("+01:00") else line["time"],
        "author": "labo@chu.fr", "protocol": "smtp", "server": "smtp:465", "action": "RCPT", "request": "",
        "answer": "MSS-550", "result": "failed", "recipient": "adam.hoda@x.fr", "sink": "mssante.chu",
        "event": EVENT, "delivery": DELIVERY,
    }  # fmt: skip
    assert asked(site, "traces", "export", "--until", "2026-10-01", "--format", "jsonl").out == ""
    assert [row["kind"] for row in rows(site, "--action", "exported")] == ["traces", "traces"]


@pytest.mark.parametrize(
    "words",
    [("ls", "--action", "nonsense"), ("ls", "--since", "jamais"), ("verify", "--known", "12"), ("verify", "--accept")],
)
def test_what_can_not_be_meant_is_said_in_a_sentence(site: Path, words: tuple[str, ...]) -> None:
    """Exit code 2, and no traceback."""
    said = asked(site, "audit", *words)
    assert said.code == 2 and said.err.startswith("segur-router:")
