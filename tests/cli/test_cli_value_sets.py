"""`cisis value-sets`: what is loaded, and renewing it from a file or an https address that the operator names."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.cisis.valuesets import ValueSets
from router.simulators.authority import Certificates, make_certificates
from tests.cli.cli import command

J66 = {
    "resourceType": "ValueSet",
    "title": "JDV_J66-TypeCode-DMP",
    "version": "20990101120000",
    "compose": {"include": [{"system": "http://loinc.org", "concept": [{"code": "11502-2", "display": "CR"}]}]},
}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[str, Certificates]]:
    """An https server that publishes one value set, and the authority of its certificate."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "JDV-J66-TypeCode-DMP.json").write_text(json.dumps(J66), encoding="utf-8")
    made = make_certificates(tmp_path / "certificates", {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    server.socket = made.server_context(client_required=False).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}/JDV-J66-TypeCode-DMP.json", made
    server.shutdown()
    server.server_close()


def test_the_loaded_sets_are_listed_with_their_dates() -> None:
    """Version, OID, source and number of codes; J66 among them."""
    rows = {row["set"]: row for row in command("cisis", "value-sets", "list", "--json").json}
    assert (rows["JDV_J66"]["version"], rows["JDV_J66"]["codes"]) == ("20240927", 108)
    assert rows["JDV_J66"]["source"] and rows["JDV_J66"]["oid"]


def test_a_set_is_renewed_from_an_address(tmp_path: Path, published: tuple[str, Certificates]) -> None:
    """The file of the address replaces ours, and the command says which codes came and went."""
    address, made = published
    folder = tmp_path / "sets"
    said = command("cisis", "value-sets", "update", address, "--to", str(folder), "--ca", str(made.ca))
    assert said.code == 0
    assert "JDV_J66: 20240927 → 20990101" in said.out and "18748-4" in said.out
    assert ValueSets.load(folder).contains("JDV_J66", "18748-4") is False


def test_a_set_is_renewed_from_a_file(tmp_path: Path) -> None:
    """A dry run writes nothing; the same without it does."""
    path, folder = tmp_path / "J66.json", tmp_path / "sets"
    path.write_text(json.dumps(J66), encoding="utf-8")
    assert command("cisis", "value-sets", "update", str(path), "--to", str(folder), "--dry-run").code == 0
    assert not folder.exists()
    assert command("cisis", "value-sets", "update", str(path), "--to", str(folder)).code == 0
    assert ValueSets.load(folder).sets["JDV_J66"].version == "20990101"


@pytest.mark.parametrize(
    ("source", "code"),
    [("http://127.0.0.1:9/x.json", 2), ("https://127.0.0.1:9/x.json", 3), ("nowhere.json", 2)],
    ids=["plain http", "away", "no file"],
)
def test_what_cannot_be_read_changes_nothing(tmp_path: Path, source: str, code: int) -> None:
    """One sentence, an exit code, no folder."""
    said = command("cisis", "value-sets", "update", source, "--to", str(tmp_path / "sets"))
    assert said.code == code
    assert not (tmp_path / "sets").exists()


def test_an_address_under_another_authority_is_refused(tmp_path: Path, published: tuple[str, Certificates]) -> None:
    """Nobody between us and the publisher can change what is refused to a patient's DMP."""
    address, _ = published
    said = command("cisis", "value-sets", "update", address, "--to", str(tmp_path / "sets"))
    assert said.code == 2 and not (tmp_path / "sets").exists()
