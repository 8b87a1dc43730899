"""The systemd unit: hardened, and in step with the router's own times and exit codes."""

from __future__ import annotations

import configparser
import re
import subprocess

import pytest

from router.cli.output import Exit
from router.config.site_models import LimitsConfig
from router.runtime.supervisor.router_process import CLOSING_SECONDS
from router.runtime.supervisor.workers import EXIT_CONFIG
from tests.deploy.chart import ROOT

UNITS = ROOT / "deploy" / "systemd"
UNIT = UNITS / "segur-router.service"


def settings(section: str) -> dict[str, list[str]]:
    """Key -> its values, in order: a unit may say a key twice."""
    found: dict[str, list[str]] = {}
    inside = ""
    for line in UNIT.read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            inside = match[1]
        elif inside == section and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.integration
def test_the_unit_exposes_little() -> None:
    """systemd's own measure of exposure is 2.0 at most, of 10."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:]
    assert float(re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)[0]) <= 2.0


@pytest.mark.integration
def test_systemd_understands_the_unit() -> None:
    """No key is unknown or misplaced; what is not on this machine (the program) is all that it says."""
    done = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if str(UNIT.name) in line]
    assert [line for line in said if "is not executable: No such file" not in line] == []


def test_stopping_takes_the_time_that_the_router_takes() -> None:
    """systemd waits longer than the drain and the closing together, then kills what is left."""
    service = settings("Service")
    needed = LimitsConfig().drain_seconds + CLOSING_SECONDS
    assert needed + 5 <= float(service["TimeoutStopSec"][0])
    assert service["KillMode"] == ["mixed"]


def test_a_wrong_file_is_not_started_again_and_again() -> None:
    """Exit codes that say that a file is wrong end the restarts."""
    service = settings("Service")
    assert service["Restart"] == ["on-failure"]
    assert service["RestartPreventExitStatus"] == [f"{int(Exit.USAGE)} {EXIT_CONFIG}"]


def test_what_is_written_is_the_state_folder() -> None:
    """The file system is read-only but for the state; secrets come as credentials."""
    service = settings("Service")
    assert service["ProtectSystem"] == ["strict"]
    assert service["StateDirectory"] == ["segur-router"]
    assert "ReadWritePaths" not in service
    assert service["LoadCredential"] == ["credentials:/etc/segur-router/credentials"]
    assert service["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert service["Type"] == ["notify"]


@pytest.mark.parametrize("path", sorted(UNITS.glob("drop-in-*.conf")), ids=lambda path: path.stem)
def test_drop_ins_only_add(path: object) -> None:
    """An example of a drop-in opens one thing, and says where it goes."""
    text = path.read_text()  # type: ignore[attr-defined]
    assert "/etc/systemd/system/segur-router.service.d/" in text
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    assert set(parser.sections()) <= {"Unit", "Service"}
