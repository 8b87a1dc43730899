"""What an operator reads: one sentence, an exit code, JSON where a program reads; never a traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = """\
environment: qualification
data: var
admin: {port: 0}
feeds:
  relais:
    kind: relay
    mllp: {port: %d}
sinks:
  hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}
"""
PIPELINE = """\
name: relais
feed: relais
sinks: {hl7.dpi: {}}
examples:
  - {name: un message, message: adt.hl7, expect: {hl7: [hl7.dpi]}}
"""


def _run(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "router.cli.main", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def _site(folder: Path, port: int = 0, text: str = SITE) -> Path:
    path = folder / "router.yaml"
    path.write_text(text % port if "%d" in text else text)
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "relais.yaml").write_text(PIPELINE)
    sample = (ROOT / "pipelines" / "samples" / "adt-admission.hl7").read_bytes()
    (folder / "pipelines" / "adt.hl7").write_bytes(sample)
    return path


def test_the_shipped_site_and_pipelines_are_right() -> None:
    """`check` and `test` pass on what the repository ships."""
    assert _run("check", "--files-elsewhere").returncode == 0
    tested = _run("test", "--json")
    assert tested.returncode == 0
    assert len(json.loads(tested.stdout)) >= 13


def test_check_reports_every_mistake_with_its_place(tmp_path: Path) -> None:
    """Site file: unknown key with a hint, wrong type, missing sink; exit 2."""
    wrong = SITE.replace("admin:", "admn:").replace("type: hl7", "type: hl8")
    done = _run("check", "--site", str(_site(tmp_path, text=wrong)), "--json")
    assert done.returncode == 2
    problems = {(one["path"], one["line"]) for one in json.loads(done.stdout)}
    assert problems == {("admn", 3), ("sinks.hl7.dpi", 9)}


def test_a_wrong_pipeline_is_found_with_its_place(tmp_path: Path) -> None:
    """A condition with an unknown name: file, line and the names there are."""
    site = _site(tmp_path)
    file = tmp_path / "pipelines" / "relais.yaml"
    file.write_text(PIPELINE.replace("feed: relais", "feed: relais\nwhen: message.tipe == 'ADT^A01'"))
    done = _run("check", "--site", str(site))
    assert done.returncode == 2
    assert "relais.yaml:3:7" in done.stdout.replace("\n", "")
    assert "message has no 'tipe'" in done.stdout


def test_no_site_file_is_one_sentence(tmp_path: Path) -> None:
    """The commonest mistake of a first day."""
    done = _run("run", folder=tmp_path)
    assert done.returncode == 2
    assert "can't be read" in done.stderr


def test_a_data_folder_that_cant_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A file stands where the folder should be: told before any worker starts."""
    site = _site(tmp_path)
    (tmp_path / "var").write_text("")
    done = _run("run", "--site", str(site))
    assert done.returncode in (2, 3)
    assert len(done.stderr.strip().splitlines()) <= 2


def test_the_administration_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """Another router runs already."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = SITE.replace("admin: {port: 0}", f"admin: {{port: {taken.getsockname()[1]}}}")
        done = _run("run", "--site", str(_site(tmp_path, text=text)))
    assert done.returncode == 2
    assert "ADMIN-PORT" in done.stderr


def test_a_listener_s_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """The feed is named; no worker is started that would fall again and again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = _run("run", "--site", str(_site(tmp_path, port=taken.getsockname()[1])))
    assert done.returncode == 2
    assert "feed relais can't listen there: Address already in use" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_try_shows_what_each_step_does_and_sends_nothing(tmp_path: Path) -> None:
    """A relayed message reaches its sink on paper; a message that isn't one is refused, with where."""
    site = _site(tmp_path)
    file, message = tmp_path / "pipelines" / "relais.yaml", tmp_path / "pipelines" / "adt.hl7"
    done = _run("try", str(file), str(message), "--site", str(site))
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[1:4]] == ["gateway", "parse", "route"]
    assert "hl7.dpi → hl7.dpi" in done.stdout
    assert not (tmp_path / "var" / "bus.db").exists()
    message.write_bytes(b"not a message")
    refused = _run("try", str(file), str(message), "--site", str(site), "--json")
    assert refused.returncode == 1
    assert [one["stage"] for one in json.loads(refused.stdout)["effects"]] == ["gateway"]


def test_try_shows_the_fault_that_the_sender_would_be_told(tmp_path: Path) -> None:
    """The shipped biology pipeline: what is accepted and routed, what is refused and by which rule."""
    site = tmp_path / "router.yaml"
    text = (ROOT / "router.yaml").read_text().replace("pipelines: pipelines", f"pipelines: {ROOT / 'pipelines'}")
    site.write_text(text)
    file, samples = str(ROOT / "pipelines" / "biologie.yaml"), ROOT / "pipelines" / "samples"
    good = _run("try", file, str(samples / "biologie-ok.hl7"), "--site", str(site))
    assert good.returncode == 0
    assert "dmp.hopital-a → DMP" in good.stdout
    bad = _run("try", file, str(samples / "biologie-prov.hl7"), "--site", str(site))
    assert (bad.returncode, "AE R45 PID^1^32" in bad.stdout) == (1, True)


def test_an_unknown_identifier_is_said_to_be_unknown(tmp_path: Path) -> None:
    """`explain` of nothing: exit 1, one sentence."""
    done = _run("explain", "NOBODY", "--site", str(_site(tmp_path)))
    assert done.returncode == 1
    assert "nothing is known" in done.stderr


def test_no_dead_letter_is_an_empty_list(tmp_path: Path) -> None:
    """`dlq ls --json` of a new site."""
    done = _run("dlq", "ls", "--json", "--site", str(_site(tmp_path)))
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def test_the_rules_are_a_table_for_programs() -> None:
    """`cisis rules --json`: one object per rule, with its fields."""
    rules = json.loads(_run("cisis", "rules", "--json").stdout)
    numbers = [rule["rule"] for rule in rules]
    assert {"R01", "R45", "R99"} <= set(numbers)
    assert len(numbers) == len(set(numbers))
    assert {"dialects", "severity", "err2", "err3", "err5", "sentence"} <= set(rules[0])


@pytest.mark.parametrize(
    "command", ["run", "send", "demo", "check", "test", "explain", "version", "reference", "impact", "try", "withdraw"]
)
def test_every_command_has_a_help(command: str) -> None:
    """`--help` says what it does."""
    done = _run(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_send_to_nobody_is_one_sentence() -> None:
    """No listener: exit 3."""
    done = _run("send", "pipelines/samples/biologie-ok.hl7", "--to", "127.0.0.1:1")
    assert done.returncode == 3
    assert "no answer from 127.0.0.1:1" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("send pipelines/samples --to nowhere", 2, "'nowhere' is not host:port"),
        ("send pipelines/samples --to 127.0.0.1:1 --ca README.md", 2, "README.md holds no certificate"),
        ("simulate sender --to foo", 2, "'foo' is not host:port"),
        ("simulate sender --kind poem", 2, "no such kind: poem (one of biology"),
        ("simulate dmp --folder /proc/nowhere", 2, "/proc/nowhere: No such file or directory"),
        ("demo --folder /proc/nowhere", 2, "/proc/nowhere: No such file or directory"),
        ("run --only kitchen", 2, "no such role: kitchen"),
        ("try pipelines/biologie.yaml pipelines/samples/biologie-ok.hl7 --feed gam", 2, "does not read feed gam"),
    ],
)
def test_wrong_input_is_one_sentence(words: str, code: int, sentence: str) -> None:
    """What people mistype, and what their machine refuses: told in one line, never as a bug of ours."""
    done = _run(*words.split())
    assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
