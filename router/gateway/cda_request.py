"""The request of a raw CDA in a watched folder: `<name>.headers` beside it, lines `name: value`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from router.gateway.files import Directory, Look, Unfit

MAX_HEADERS: Final = 64 * 1024
"""Bytes of a `.headers` file at most."""
_LINE_END: Final = re.compile(r"\r?\n")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What ends a line in the eyes of some programs, and other controls: no value holds one."""


class Request(NamedTuple):
    """The request of a raw CDA, as it stood beside it."""

    data: bytes
    look: Look


def beside(name: str) -> str:
    """The name of the file that holds the request of a raw CDA."""
    return f"{name}.headers"


def read(folder: Directory, name: str) -> Request | None:
    """What stands beside a raw CDA. Raises `Unfit` when something does that can't be read as its request."""
    try:
        if not folder.exists(beside(name)) or folder.is_directory(beside(name)):
            return None
        data, look = folder.read(beside(name), MAX_HEADERS + 1)
    except FileNotFoundError:
        return None
    except (Unfit, OSError) as error:
        raise Unfit("FOLDER-HEADERS") from error
    if look.size > MAX_HEADERS:
        raise Unfit("FOLDER-HEADERS")
    return Request(data, look)


def headers(request: Request | None) -> dict[str, str]:
    """The request's headers. Raises `Unfit` for a name that stands twice, or a control character: each may hide one."""
    found: dict[str, str] = {}
    lines = _LINE_END.split(request.data.decode("utf-8", "replace")) if request is not None else []
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower().removeprefix("x-segur-")
        if _CONTROL.search(line) or (colon and name in found):
            raise Unfit("FOLDER-ASKED")
        if colon:
            found[name] = value.strip()
    return found
