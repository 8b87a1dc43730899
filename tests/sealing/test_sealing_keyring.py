"""Data keys, and the master keys that wrap them."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from router.errors import OperatorFault, RouterError, Unavailable
from router.sealing.keyring import DAY
from router.sealing.master import Masters, master
from router.sealing.sealer import Sealer
from router.sealing.settings import EncryptionConfig, MasterKey
from tests.sealing.rings import NEW, OLD, OTHER, Moved, masters, ring

WHAT = b"what it is"
HOOK = """#!{python}
import base64, sys, time
word, data = sys.argv[1], base64.b64decode(sys.stdin.read())
if {sleep}: time.sleep({sleep})
out = bytes(byte ^ 0x5a for byte in data)
print(base64.b64encode(out).decode())
sys.exit({code})
"""


def hook(folder: Path, *, code: int = 0, sleep: float = 0) -> Path:
    """A command as a site would write one for its KMS; it only flips bits."""
    import sys

    path = folder / "kms"
    path.write_text(HOOK.format(python=sys.executable, code=code, sleep=sleep))
    path.chmod(stat.S_IRWXU)
    return path


def test_one_data_key_a_day(tmp_path: Path) -> None:
    """Two processes share the day's key; the next day has another, and what was sealed before is still read."""
    clock = Moved()
    with closing(ring(tmp_path, clock=clock)) as one, closing(ring(tmp_path, clock=clock)) as two:
        assert one.current() == two.current()
        sealed = Sealer(one).seal(b"MSH|", WHAT)
        clock.at += DAY
        assert one.current() == two.current()
        assert one.current().id_bytes != sealed[2:10]
        assert one.state().keys == 2
    with closing(ring(tmp_path, clock=clock)) as later:
        assert Sealer(later).unseal(sealed, WHAT) == b"MSH|"


def test_the_keyring_holds_no_key_in_clear(tmp_path: Path) -> None:
    """Neither the data key nor the master key stands in the file."""
    with closing(ring(tmp_path)) as keys:
        key = keys.current().key
    held = b"".join(path.read_bytes() for path in tmp_path.glob("keyring.db*"))
    assert key not in held
    assert bytes([1]) * 32 not in held


def test_rotation_step_by_step(tmp_path: Path) -> None:
    """Old and new processes read each other's items at every step; after `retire` the old master opens nothing."""
    clock = Moved()
    old = ring(tmp_path, masters(OLD), clock)
    first = Sealer(old).seal(b"first", WHAT)
    new = ring(tmp_path, masters(NEW, OLD), clock)  # the site file names both
    new.verify()
    second = Sealer(new).seal(b"second", WHAT)
    with pytest.raises(OperatorFault, match="SEALING-NOT-ROTATED"):
        new.retire()
    assert (new.state().lacking, new.rotate(), new.rotate(), new.state().lacking) == (1, 1, 0, 0)
    assert Sealer(old).unseal(first, WHAT) == Sealer(new).unseal(first, WHAT) == b"first"
    assert new.retire() == [OLD.id]
    assert Sealer(old).seal(b"third", WHAT)[2:10] == first[2:10]  # a process of before goes on with its data key
    clock.at += DAY
    assert Sealer(old).seal(b"fourth", WHAT)[2:10] == first[2:10]  # and makes none under a master that was retired
    alone = ring(tmp_path, masters(NEW), clock)
    alone.verify()
    assert [Sealer(alone).unseal(one, WHAT) for one in (first, second)] == [b"first", b"second"]
    with pytest.raises(OperatorFault, match="SEALING-RETIRED"):
        ring(tmp_path, masters(OLD, NEW), clock).rotate()
    for one in (old, new, alone):
        one.close()


def test_a_lost_master_key_says_what_is_lost(tmp_path: Path) -> None:
    """Count, days, what still works, what to do; and nothing starts."""
    clock = Moved()
    with closing(ring(tmp_path, masters(OLD), clock)) as keys:
        sealed = Sealer(keys).seal(b"x", WHAT)
    with closing(ring(tmp_path, masters(OTHER), clock)) as keys:
        with pytest.raises(OperatorFault) as caught:
            keys.verify()
        assert caught.value.code == "SEALING-WRONG-MASTER"
        for words in ("1 of 1 data keys", "2027-01-15", "journal", "encryption.earlier"):
            assert words in caught.value.text
        with pytest.raises(OperatorFault, match="SEALING-WRONG-MASTER"):
            Sealer(keys).unseal(sealed, WHAT)
        with pytest.raises(OperatorFault, match="SEALING-WRONG-MASTER"):
            keys.rotate()


def test_a_changed_keyring_is_found(tmp_path: Path) -> None:
    """A wrap that was changed, or that stands under another data key's name."""
    clock = Moved()
    with closing(ring(tmp_path, clock=clock)) as keys:
        keys.current()
        clock.at += DAY
        keys.current()
    with closing(sqlite3.connect(tmp_path / "keyring.db")) as file:
        wraps = [wrap for (wrap,) in file.execute("SELECT wrapped FROM keyring_wraps ORDER BY rowid")]
        file.execute("UPDATE keyring_wraps SET wrapped=? WHERE wrapped=?", (wraps[0], wraps[1]))
        file.commit()
    with closing(ring(tmp_path, clock=clock)) as keys, pytest.raises(OperatorFault, match="SEALING-KEYRING"):
        keys.verify()


def test_a_command_wraps_and_unwraps(tmp_path: Path) -> None:
    """A KMS or a PKCS#11 module behind a command: its key is never ours, and a rotation to it works."""
    config = MasterKey(command=(str(hook(tmp_path)),), name="kms:1", timeout=60)
    asked = master(config)
    with closing(ring(tmp_path, masters(OLD))) as keys:
        sealed = Sealer(keys).seal(b"x", WHAT)
    both = Masters(asked, {asked.id: asked, OLD.id: OLD})
    with closing(ring(tmp_path, lambda: both)) as keys:
        assert keys.rotate() == 1
        keys.retire()
    with closing(ring(tmp_path, lambda: Masters(asked, {asked.id: asked}))) as keys:
        keys.verify()
        assert Sealer(keys).unseal(sealed, WHAT) == b"x"


@pytest.mark.parametrize(
    ("how", "fault", "text"),
    [
        ({"sleep": 5}, Unavailable, "takes too long"),
        ({"code": 75}, Unavailable, "try again later"),
        ({"code": 1}, OperatorFault, "ended with 1"),
    ],
)
def test_a_command_that_fails(tmp_path: Path, how: dict[str, float], fault: type[RouterError], text: str) -> None:
    """A time limit, a KMS that is away for a moment, and a refusal."""
    seconds = 0.5 if "sleep" in how else 60.0  # a busy machine starts an interpreter slowly
    asked = master(MasterKey(command=(str(hook(tmp_path, **how)),), name="kms", timeout=seconds))  # type: ignore[arg-type]
    with pytest.raises(fault) as caught:
        asked.wrap("00", bytes(32))
    assert text in caught.value.text.format(code=1)


def test_a_kms_that_is_away_stops_nobody_who_has_a_key(tmp_path: Path) -> None:
    """The data key of yesterday serves on, and an alert says so."""
    clock, heard = Moved(), list[str]()

    class Away:
        id = OLD.id
        away = False

        def wrap(self, key_id: str, key: bytes) -> bytes:
            if self.away:
                raise Unavailable("SEALING-COMMAND", "kms", "away")
            return OLD.wrap(key_id, key)

        unwrap = OLD.unwrap

    asked = Away()
    with closing(ring(tmp_path, lambda: Masters(asked, {asked.id: asked}), clock)) as keys:
        keys._alert = lambda what, _facts: heard.append(what)
        before = keys.current()
        asked.away = True
        clock.at += DAY
        assert keys.current() == keys.current() == before
        assert heard == ["data-key"]
        asked.away = False
        clock.at += 61
        assert keys.current() != before


@pytest.mark.parametrize(
    ("written", "code"),
    [("", "SEALING-MASTER"), ("00" * 31, "SEALING-MASTER"), ("correct horse battery staple", "SEALING-MASTER")],
)
def test_what_is_no_master_key_is_refused(tmp_path: Path, written: str, code: str) -> None:
    """An empty file, 31 bytes, a password; the value is in no text."""
    (tmp_path / "key").write_text(written)
    with pytest.raises(OperatorFault) as caught:
        Masters.of(EncryptionConfig(master_key=MasterKey(file=tmp_path / "key")))
    assert caught.value.code == code
    assert not written or written not in str(caught.value)


def test_both_forms_of_a_key_are_one_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hexadecimal in a file, base64 in a variable."""
    (tmp_path / "key").write_text("01" * 32 + "\n")
    monkeypatch.setenv("MASTER", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
    assert master(MasterKey(file=tmp_path / "key")).id == master(MasterKey(env="MASTER")).id == OLD.id


@pytest.mark.parametrize("written", [{}, {"env": "A", "file": "b"}, {"command": ["kms"]}, {"env": "A", "name": "b"}])
def test_a_master_key_is_in_one_place(written: dict[str, object]) -> None:
    """Exactly one of the three; a command has a name."""
    with pytest.raises(ValidationError):
        MasterKey.model_validate(written)
