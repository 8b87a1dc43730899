"""Data keys, and the master keys that wrap them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from router.errors import OperatorFault, RouterError, Unavailable
from router.sealing.master import Masters, master
from router.sealing.settings import EncryptionConfig, MasterKey
from tests.contracts.keyring_contract import KeyringContract, hook
from tests.sealing.rings import OLD, ring


def test_the_keyring_holds_no_key_in_clear(tmp_path: Path) -> None:
    """Neither the data key nor the master key stands in the file."""
    with closing(ring(tmp_path)) as keys:
        key = keys.current().key
    held = b"".join(path.read_bytes() for path in tmp_path.glob("keyring.db*"))
    assert key not in held
    assert bytes([1]) * 32 not in held


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


class TestSqliteKeyring(KeyringContract):
    """The contract, on SQLite."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'keyring.db'}"
