"""A newcomer's first wrong turns: the wrong folder, a router that is not started. The sentence says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from router.cli.main import main


def _ended(*words: str) -> int:
    """The exit code of the whole command, as the shell starts it."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["segur-router", *words])
        main()
    return int(end.value.code or 0)


@pytest.mark.parametrize("words", [["status"], ["check"], ["explain", "42"], ["dlq", "ls"]])
def test_a_command_in_another_folder_names_the_way_to_the_site(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no site file stands, the sentence says to go to its folder, or to name it."""
    monkeypatch.chdir(tmp_path)
    assert _ended(*words) == 2
    said = "".join(capsys.readouterr())
    assert "--site FILE" in " ".join(said.split()), said


def test_a_site_file_that_is_there_and_unreadable_gets_no_such_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a missing file sends the operator elsewhere."""
    monkeypatch.chdir(tmp_path)
    Path("router.yaml").write_bytes(b"\xff\xfe\x00")
    assert _ended("status") == 2
    said = "".join(capsys.readouterr())
    assert "router.yaml:1:1" in said and "--site FILE" not in said, said


def test_send_to_a_router_that_does_not_run_yet_names_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first `send` of a newcomer comes before `run` listens: the sentence names `run` and `--to`."""
    message = tmp_path / "m.hl7"
    message.write_text("MSH|^~\\&|SIL")
    assert _ended("send", str(message), "--to", "127.0.0.1:1") == 3
    said = " ".join("".join(capsys.readouterr()).split())
    assert "`segur-router run`" in said and "--to HOST:PORT" in said, said
