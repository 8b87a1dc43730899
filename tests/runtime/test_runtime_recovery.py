"""A trouble that is over is information: nobody is called for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from router.contracts import RECOVERIES
from router.feedback.worker import log_alert
from router.runtime.roles import event_loop
from router.runtime.roles.event_loop import alert


@pytest.fixture(autouse=True)
def _log_of_this_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A logger without the level and the processors that a command gave to this process before."""
    before = structlog.get_config()
    structlog.reset_defaults()
    monkeypatch.setattr(event_loop, "log", structlog.get_logger())
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("what", ["circuit-closed", "mailbox-readable", "feed-goes-on"])
def test_a_recovery_is_logged_as_information(what: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither at the level of errors nor under the name that the alert rules count."""
    with structlog.testing.capture_logs() as lines:
        alert(what, {"sink": "dmp.chu"})
    (line,) = lines
    assert (line["log_level"], line["recovery"], "alert" in line) == ("info", what, False)
    caplog.set_level(logging.INFO, logger="router")
    log_alert(what, {"sink": "dmp.chu"})
    assert [one.levelname for one in caplog.records] == ["INFO"]


@pytest.mark.parametrize("what", ["circuit-open", "feed-waits", "mailbox can't be read"])
def test_a_trouble_stays_an_alert(what: str) -> None:
    """What a person must look at keeps its level and its name."""
    with structlog.testing.capture_logs() as lines:
        alert(what, {"sink": "dmp.chu"})
    (line,) = lines
    assert what not in RECOVERIES and (line["log_level"], line["alert"]) == ("error", what)
