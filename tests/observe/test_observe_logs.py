"""Logs hold what is allowed, and nothing else."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from router.errors import Invalid
from router.observe import logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """Logging is global: leave it as it was."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_key_that_is_not_allowed_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    """A value that has no business in a log can't enter it."""
    logs.configure(role="gateway", slot=1)
    structlog.get_logger().info("accepted", feed="sil", patient="DUPONT")
    (line,) = _lines(capsys)
    assert line["feed"] == "sil"
    assert line["role"] == "gateway"
    assert "patient" not in line


def test_an_exception_keeps_its_class_and_its_places_only(capsys: pytest.CaptureFixture[str]) -> None:
    """A foreign exception may quote a message: its text is not logged, nor that of its cause."""
    logs.configure()
    try:
        raise ValueError("DUPONT MARIE")
    except ValueError:
        structlog.get_logger().error("failed", exc_info=True)
    text = capsys.readouterr().err
    assert "DUPONT" not in text
    assert json.loads(text)["error"] == "ValueError"


def test_a_fault_of_ours_is_logged_with_its_code_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Codes and places are safe by contract."""
    logs.configure()
    structlog.get_logger().warning("refused", exc_info=Invalid("R45", "PID-32", "identity is not qualified"))
    (line,) = _lines(capsys)
    assert (line["code"], line["place"]) == ("R45", "PID-32")


def test_a_library_is_heard_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Another library's sentence may hold a value; one of our own rooms is trusted with constant sentences."""
    logs.configure()
    logging.getLogger("kafka.client").warning("record DUPONT refused")
    logging.getLogger("router.engine").warning("circuit opened", extra={"sink": "dmp.chu", "patient": "DUPONT"})
    library, ours = _lines(capsys)
    assert library["name"] == "kafka.client"
    assert (ours["event"], ours["sink"]) == ("circuit opened", "dmp.chu")
    assert "DUPONT" not in str(library) + str(ours)


def test_what_is_missing_on_the_machine_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A module that isn't installed, a full disk: words of the system, which can't quote a message."""
    logs.configure(role="sinks")
    try:
        importlib.import_module("no_such_module_of_ours")
    except ImportError:
        structlog.get_logger().error("worker failed", exc_info=True)
    structlog.get_logger().error("upkeep failed", exc_info=OSError(28, "No space left on device", "DUPONT.hl7"))
    missing, full = _lines(capsys)
    assert missing["name"] == "no_such_module_of_ours"
    assert full["reason"] == "No space left on device"
    assert "DUPONT" not in str(full)


@pytest.mark.parametrize("pretty", [True, False])
def test_a_line_of_the_log_obeys_nobody(capsys: pytest.CaptureFixture[str], *, pretty: bool) -> None:
    """C1 and bidirectional controls of a value are shown as their codes, also in lists."""
    logs.configure(pretty=pretty)
    structlog.get_logger().warning("x", place="\x9b2J\u202ea", why=["\x1b]0;b\x07"])
    text = capsys.readouterr().err
    assert not {"\x9b", "\u202e", "\x07"} & set(text)
    assert r"u202ea" in text
