"""What the router and its rendering process say to each other: JSON and some files, with their lengths before them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from router.language import N_

IMPOSSIBLE: Final = N_("mise en page impossible")
"""Reason of the process for a page that it could not set."""


def write_frame(stream: BinaryIO, head: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """One message: 4 bytes big-endian length of the JSON, the JSON (with the files' lengths), the files."""
    text = json.dumps({"head": head, "files": {name: len(content) for name, content in files.items()}}).encode()
    for part in (len(text).to_bytes(4, "big"), text, *files.values()):
        view = memoryview(part)
        while view:
            view = view[stream.write(view) :]


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    """The next message; None when the other side ended, also in the middle of one."""
    length = _exactly(stream, 4)
    text = _exactly(stream, int.from_bytes(length, "big")) if length is not None else None
    if text is None:
        return None
    said = json.loads(text)
    files = {}
    for name, size in said["files"].items():
        content = _exactly(stream, size)
        if content is None:
            return None
        files[name] = content
    return said["head"], files


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    pieces = []
    while size:
        piece = stream.read(min(size, 1 << 20))
        if not piece:
            return None
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
