"""A program on a file system that is read-only but for its own folder, as the chart and the unit give it one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from tests.deploy.chart import ROOT

#: Every mount of this machine becomes read-only; the folder of the first argument is bound again, and stays ours.
ENTER: Final = r"""
mount --bind "$1" "$1"
own=$(readlink -f "$1")
while read -r _ _ _ _ place _; do
  place=$(printf '%b' "$place")
  case "$place" in
    "$own" | /proc | /proc/* | /sys | /sys/*) ;;
    *) mount -o remount,ro,bind "$place" ;;
  esac
done < /proc/self/mountinfo
shift
exec "$@"
"""
_UNSHARE: Final = ["unshare", "--mount", "--propagation", "private"]

#: Imported by every Python before its program: what asks to write outside is noted there, also if nobody hears of it.
HOOK: Final = """
import os, sys

OWN = {own!r}
WRITES = {{"os.mkdir": 0, "os.rename": 1, "os.remove": 0, "os.rmdir": 0, "os.link": 1, "os.symlink": 1,
          "os.truncate": 0, "os.chmod": 0, "os.utime": 0, "sqlite3.connect": 0}}

def _heard(event, args):
    if event == "open":
        path, mode, flags = args
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if not writes or isinstance(path, int):
            return
    elif event in WRITES:
        path = args[WRITES[event]]
    else:
        return
    if isinstance(path, int):
        return
    text = os.fsdecode(path)
    if text.startswith("file:"):
        text = text[5:].partition("?")[0]
    full = os.path.realpath(text)
    if text == ":memory:" or full == "/dev/null" or full.startswith(OWN) or full.startswith("/proc/"):
        return
    note = os.open(OWN[0] + "/notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(note, f"{{event}} {{full}}\\n".encode())
    os.close(note)

sys.addaudithook(_heard)
"""


def hook(*own: str) -> str:
    """The text of `sitecustomize.py`. own: folders where writing is in order; `notes` comes to stand in the first."""
    return HOOK.format(own=own)


def permitted() -> str:
    """Why this account may not do it here; "" when it may."""
    try:
        done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no unshare on this machine"
    return "" if done.returncode == 0 else done.stderr.strip() or f"unshare ended with {done.returncode}"


def command(folder: Path, words: list[str]) -> list[str]:
    """The command line that runs `words` there."""
    return [*_UNSHARE, "sh", "-ec", ENTER, "sh", str(folder), *words]


def environment(folder: Path) -> dict[str, str]:
    """No home, a declared folder for what is temporary, and the hook. `folder` gets the two folders."""
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "hook").mkdir(exist_ok=True)
    (folder / "hook" / "sitecustomize.py").write_text(hook(str(folder.resolve())))
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {
        **kept,
        "HOME": "/nonexistent",
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": f"{folder / 'hook'}:{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SEGUR_LANG": "en",
    }


def noted(folder: Path) -> list[str]:
    """What was asked to be written elsewhere."""
    notes = folder / "notes"
    return sorted(set(notes.read_text().splitlines())) if notes.exists() else []
