"""Runs the judges that are written in Java; Maven brings their jars once, into `judges/libs`.

Never a silent skip: `scripts/services conformance` installs what is missing (root on Debian), or the test fails and
says what to install.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

JUDGES = Path(__file__).resolve().parent / "judges"
SERVICES = Path(__file__).resolve().parents[2] / "scripts" / "services"
LIBS = JUDGES / "libs"
POM = JUDGES / "pom.xml"
COMPLETE = LIBS / ".complete"
SECONDS = 100
SMALL = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--class-path", f"{LIBS}/*")


def fetch() -> None:
    """Bring the jars that `pom.xml` names, unless they are there; two test runs at once wait for each other."""
    installed = subprocess.run([SERVICES, "conformance"], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.fail(installed.stderr.strip(), pytrace=False)
    LIBS.mkdir(exist_ok=True)
    with (LIBS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if COMPLETE.exists() and COMPLETE.read_text() == POM.read_text():
            return
        for old in LIBS.glob("*.jar"):
            old.unlink()
        command = ["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}"]
        done = subprocess.run([*command, "-DincludeScope=runtime"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"Maven could not bring the judges' jars:\n{done.stdout[-2000:]}", pytrace=False)
        COMPLETE.write_text(POM.read_text())


def verdicts(program: str, questions: Sequence[Sequence[str | Path]]) -> list[str]:
    """The program's answer to each question, in order: `ok`, or what is wrong. One start for all of them."""
    asked = "".join("\t".join(map(str, one)) + "\n" for one in questions)
    done = subprocess.run(
        ["java", *SMALL, str(JUDGES / f"{program}.java")],
        input=asked,
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        timeout=SECONDS,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(questions), done.stderr[-3000:]
    return answers


if __name__ == "__main__":
    fetch()
