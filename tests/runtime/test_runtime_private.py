"""Who may read what the router keeps: nobody else, whatever the account's umask is (decisions D12)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from router import private
from router.config.site import Site
from router.errors import OperatorFault
from router.runtime.supervisor import router_process
from router.runtime.supervisor.router_process import RouterProcess


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def site(folder: Path, environment: str = "qualification") -> Site:
    (folder / "pipelines").mkdir(exist_ok=True)
    content = {
        "environment": environment,
        "admin": {"port": 0},
        "feeds": {"sil": {"kind": "relay", "mllp": {"port": 0}}},
        "sinks": {"hl7.sil": {"type": "hl7", "host": "127.0.0.1", "port": 9}},
    }
    with (folder / "router.yaml").open("w") as file:
        YAML().dump(content, file)
    return Site(folder / "router.yaml")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_data_folder_is_made_for_us_alone(tmp_path: Path) -> None:
    """Under umask 022 the folder is 0700 all the same, and so is what the first start makes in it."""
    RouterProcess(site(tmp_path), ["gateway"]).site.secret()
    assert mode(tmp_path / "var") == 0o700
    assert mode(tmp_path / "var/pseudonyms.key") == 0o600


def test_an_open_data_folder_is_refused_in_production(tmp_path: Path) -> None:
    """An older version's folder: one sentence, with what to do."""
    (tmp_path / "var").mkdir(mode=0o755)
    with pytest.raises(OperatorFault, match="chmod 700") as caught:
        RouterProcess(site(tmp_path, "production"))
    assert caught.value.code == "SITE-OPEN"


def test_an_open_data_folder_is_told_elsewhere_and_its_content_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For trial: an alert; the files in it are taken from the others, and that is told too."""
    (tmp_path / "var/run").mkdir(parents=True)
    (tmp_path / "var/bus.db").write_bytes(b"")
    told: list[str] = []
    monkeypatch.setattr(router_process, "alert", lambda what, facts: told.append(f"{what} {facts.get('count', '')}"))
    RouterProcess(site(tmp_path), ["gateway"]).site.secret()
    assert told[0] == "data-open " and told[1].startswith("data-open 2")
    assert mode(tmp_path / "var/bus.db") == 0o600 and mode(tmp_path / "var/run") == 0o700


def test_a_key_that_others_can_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key may live elsewhere; it is used from there, and told when it is open."""
    (tmp_path / "key").write_text("k")
    made = site(tmp_path)
    text = (tmp_path / "router.yaml").read_text()
    (tmp_path / "router.yaml").write_text(f"{text}secret: {{file: {tmp_path / 'key'}}}\n")
    made = Site(tmp_path / "router.yaml")
    told: list[str] = []
    monkeypatch.setattr(router_process, "alert", lambda what, facts: told.append(facts["place"]))
    RouterProcess(made, ["gateway"])
    assert made.secret() == b"k" and told == [str(tmp_path / "key")]
    assert not (tmp_path / "var/pseudonyms.key").exists()


@pytest.mark.parametrize("module", ["router.cli.main", "router.runtime.process"])
def test_every_process_makes_private_files(tmp_path: Path, module: str) -> None:
    """Both entry points set the umask before they do anything else."""
    entry = "main()" if module.endswith("cli.main") else f"main([{str(tmp_path / 'none.yaml')!r}, 'gateway', '0'])"
    program = (
        f"import os, sys; os.umask(0o022); sys.argv[1:] = ['version']\nfrom {module} import main\n"
        f"try:\n    {entry}\nexcept SystemExit:\n    pass\n"
        f"open({str(tmp_path / 'made')!r}, 'w').close()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)
    assert mode(tmp_path / "made") == 0o600


def test_links_inside_are_left_alone(tmp_path: Path) -> None:
    """Closing what is ours changes nothing behind a link."""
    (tmp_path / "var").mkdir()
    (tmp_path / "other").write_text("")
    (tmp_path / "var/link").symlink_to(tmp_path / "other")
    assert private.close_inside(tmp_path / "var") == 0 and mode(tmp_path / "other") == 0o644
