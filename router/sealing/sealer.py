"""Seals and opens, with the data keys of the keyring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from router.sealing import envelope
from router.sealing.keyring import Keyring


class Sealer:
    """Any thread. `what`: of `envelope.context`; it must be the same when the item is opened."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, data: bytes, what: bytes) -> bytes:
        """Raises `Unavailable`, `OperatorFault` only before the first data key of this process."""
        current = self._keyring.current()
        return envelope.seal(current.id_bytes, current.key, data, what)

    def stream(self, blocks: Iterable[bytes], what: bytes) -> Iterator[bytes]:
        """The same, piece by piece."""
        current = self._keyring.current()
        return envelope.stream(current.id_bytes, current.key, blocks, what)

    def unseal(self, sealed: bytes, what: bytes) -> bytes:
        """Raises `Malformed` (`SEALED-DAMAGED`), and what `Keyring.key` raises."""
        return envelope.unseal(self._keyring.key(envelope.key_id_of(sealed)), sealed, what)
