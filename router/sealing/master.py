"""Master keys: they wrap the data keys, and nothing else."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from router.errors import OperatorFault, Unavailable
from router.language import filled
from router.sealing.envelope import KEY_BYTES
from router.sealing.settings import EncryptionConfig, MasterKey

_NONCE: Final = 12
_TRY_LATER: Final = 75
"""EX_TEMPFAIL of sysexits.h."""
_MOST: Final = 64 * 1024


class Master(Protocol):
    """`id`: what its wraps stand under; it tells nothing of the key."""

    @property
    def id(self) -> str: ...

    def wrap(self, key_id: str, key: bytes) -> bytes: ...

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        """Raises `OperatorFault` when it is not this master's, `Unavailable` when it can't be asked now."""
        ...


class OwnMaster:
    """A master key whose bytes we hold: AES-256-GCM with random nonces, far fewer than 2³² (NIST SP 800-38D §8.3)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.id = hashlib.sha256(b"segur-router master key\0" + key).hexdigest()[:12]

    def wrap(self, key_id: str, key: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, _bound(key_id))

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _bound(key_id))
        except (InvalidTag, ValueError):
            raise OperatorFault(
                "SEALING-KEYRING", key_id, "a wrapped data key was changed: restore `keyring`"
            ) from None


class AskedMaster:
    """A master key behind a command (PKCS#11, KMS): it wraps and unwraps, and never shows the key."""

    def __init__(self, config: MasterKey) -> None:
        self.id = config.name
        self._command = list(config.command or ())
        self._seconds = config.timeout

    def wrap(self, key_id: str, key: bytes) -> bytes:
        """What is wrapped holds the id too: the command knows nothing of associated data."""
        return self._ask("wrap", _bound(key_id) + key)

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        plain, head = self._ask("unwrap", wrapped), _bound(key_id)
        if not plain.startswith(head) or len(plain) != len(head) + KEY_BYTES:
            raise OperatorFault("SEALING-KEYRING", key_id, "the command unwraps something else than this data key")
        return plain[len(head) :]

    def _ask(self, word: str, data: bytes) -> bytes:
        """Its standard error is not shown: it might quote what it got."""
        name = Path(self._command[0]).name
        try:
            done = subprocess.run(
                [*self._command, word],
                input=base64.b64encode(data) + b"\n",
                capture_output=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable("SEALING-COMMAND", name, "the command of the master key takes too long") from None
        except OSError as error:
            text = filled("the command of the master key can't be run: {reason}", reason=error.strerror)
            raise OperatorFault("SEALING-COMMAND", name, text) from error
        if done.returncode == _TRY_LATER:
            raise Unavailable("SEALING-COMMAND", name, "the command of the master key says: try again later")
        if done.returncode:
            text = filled("the command of the master key ended with {code}", code=done.returncode)
            raise OperatorFault("SEALING-COMMAND", name, text)
        try:
            return base64.b64decode(done.stdout[:_MOST].strip(), validate=True)
        except (binascii.Error, ValueError):
            raise OperatorFault("SEALING-COMMAND", name, "the command of the master key answers no base64") from None


@dataclass(frozen=True, slots=True)
class Masters:
    """Those of the site file: `writes` wraps new data keys, all of them read."""

    writes: Master
    reads: Mapping[str, Master]

    @classmethod
    def of(cls, config: EncryptionConfig) -> Masters:
        """Raises `OperatorFault` (`SECRET`, `SEALING-MASTER`) for one that is missing or is no key."""
        writes = master(config.master_key)
        every = [writes, *map(master, config.earlier.values())]
        return cls(writes, {one.id: one for one in reversed(every)})


def master(config: MasterKey) -> Master:
    """The master key that this configuration names."""
    if config.command is not None:
        return AskedMaster(config)
    return OwnMaster(_key(config.secret.read(), str(config.file or config.env)))


def _key(text: str, place: str) -> bytes:
    """32 bytes from hexadecimal or base64. Raises `OperatorFault`."""
    for read in (bytes.fromhex, _base64):
        try:
            key = read(text.strip())
        except ValueError:
            continue
        if len(key) == KEY_BYTES:
            return key
    raise OperatorFault(
        "SEALING-MASTER", place, "not a master key: 32 bytes in hexadecimal or base64 (`openssl rand -hex 32`)"
    )


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _bound(key_id: str) -> bytes:
    """A wrapped data key can't stand in another's place."""
    return b"segur-router data key 1\0" + key_id.encode() + b"\0"
