"""Databases of an older version, as commands find them in the middle of a rolling upgrade."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from typer.testing import CliRunner

from router.cli.main import app
from router.config.site import Site
from router.database import copies
from router.errors import OperatorFault
from router.runtime.site_services import SiteServices
from tests.cli.cli import command
from tests.cli.test_cli_stopped import site  # noqa: F401

ROOMS = ("ledger", "journal", "register")
ROOT = Path(__file__).parents[2]


def _versions(site: Path) -> dict[str, int]:  # noqa: F811
    return {room: copies.versions(f"sqlite:///{site.parent}/var/{room}.db")[room] for room in ROOMS}


def _older(site: Path, change: int = -1, rooms: tuple[str, ...] = ROOMS) -> dict[str, int]:  # noqa: F811
    """The numbers that the version before this one wrote; with another `change`, those of after it again."""
    for room in rooms:
        with closing(sqlite3.connect(site.parent / "var" / f"{room}.db")) as database:
            database.execute("UPDATE schema_versions SET version = version + ? WHERE room = ?", (change, room))
            database.commit()
    return _versions(site)


def test_who_only_looks_leaves_older_databases_as_they_are(site: Path) -> None:  # noqa: F811
    """Routers of the older version still run on them: only `ledger migrate`, `run` and `restore` bring them on."""
    services = SiteServices(Site(site))
    services.register.find("")
    services.close()
    today, older = _versions(site), _older(site)
    message = str(ROOT / "pipelines" / "samples" / "adt-admission.hl7")
    pipeline = site.parent / "pipelines" / "relais.yaml"
    pipeline.parent.mkdir()
    pipeline.write_text(
        "name: relais\nfeed: sil\nsinks: {hl7.dpi: {}}\n"
        "examples: [{name: une, message: adt.hl7, expect: {hl7: [hl7.dpi]}}]\n"
    )
    shutil.copy(message, pipeline.parent / "adt.hl7")
    refused = {
        ("search",): "JOURNAL-OLDER",
        ("explain", "MSG1"): "JOURNAL-OLDER",
        ("impact", "1"): "REGISTER-OLDER",
        ("dlq", "ls"): "LEDGER-OLDER",
        ("dlq", "show", "d"): "LEDGER-OLDER",
        ("dlq", "replay", "all", "--dry-run"): "LEDGER-OLDER",
        ("topics", "migrate", "out.hl7.dpi"): "LEDGER-OLDER",
    }
    looks = [("check",), ("test",), ("try", str(pipeline), message), ("topics", "plan"), ("doctor",)]
    looks += [("withdraw", "1.2.3", "--reason", "x", "--dry-run")]  # who may not is told so before anything is read
    for words in [*looks, ("diff", str(pipeline)), ("backup", str(site.parent / "backups")), *refused]:
        ended = CliRunner().invoke(app, ["--lang", "en", *words, "--site", str(site)]).exception
        if code := refused.get(words):
            assert isinstance(ended, OperatorFault) and ended.code == code, (words, ended)
            assert "`segur-router ledger migrate`" in ended.text
        assert _versions(site) == older, words
    seen = command("--lang", "en", "status", "--site", str(site))
    assert all(f"{room.upper()}-OLDER" in seen.out for room in ROOMS)
    assert _versions(site) == older
    _older(site, +1, ROOMS[1:])  # their tables are those of today
    assert command("ledger", "migrate", "--site", str(site)).code == 0
    assert _versions(site) == today
    assert command("dlq", "ls", "--site", str(site)).code == 0
