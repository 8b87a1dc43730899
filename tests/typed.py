"""What tests say to mypy about values of others: a test that is wrong about one fails there."""

from __future__ import annotations

from email.message import EmailMessage, Message
from typing import TypeVar, cast

from lxml import etree

T = TypeVar("T")


def present(value: T | None) -> T:
    """The value, which must be there."""
    assert value is not None
    return value


def attribute(root: etree._Element, path: str, name: str, names: dict[str, str] | None = None) -> str:
    """An attribute of the first element at `path`; both must be there."""
    return present(present(root.find(path, names)).get(name))


def body_text(mail: EmailMessage) -> str:
    """The text of a mail's body."""
    return cast(str, present(mail.get_body()).get_content())


def part_bytes(part: object) -> bytes:
    """The decoded content of a part that is no multipart."""
    assert isinstance(part, Message)
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content
