"""A reproducible ZIP (PKWARE APPNOTE 6.3): deflate by isal, no time, no owner: same content, same bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from isal import isal_zlib

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_VERSION: Final = 20
_DEFLATE: Final = 8
_TIME, _DATE = 0, 0x21  # 1 January 1980, the format's zero
_LEVEL: Final = 1


def zip_file(members: Sequence[tuple[str, bytes | memoryview]]) -> bytearray:
    """An archive of these (ASCII name, content) members, in this order; under 4 GB."""
    made = bytearray()
    directory: list[bytes] = []
    for name, content in members:
        packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15)
        packed = packer.compress(content) + packer.flush()
        facts = (_DEFLATE, _TIME, _DATE, isal_zlib.crc32(content), len(packed), len(content), len(name), 0)
        at = len(made)
        made += _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, *facts) + name.encode("ascii")
        made += packed
        directory.append(_CENTRAL.pack(b"PK\x01\x02", _VERSION, _VERSION, 0, *facts, 0, 0, 0, 0, at) + name.encode())
    central = b"".join(directory)
    at = len(made)
    made += central
    made += _END.pack(b"PK\x05\x06", 0, 0, len(members), len(members), len(central), at, 0)
    return made
