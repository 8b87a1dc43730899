"""The site's own table of mailboxes: what the site file says wins over every directory (decisions D5)."""

from __future__ import annotations

from collections.abc import Collection

from router.cisis.participants import UNITS
from router.directory.mailboxes import Mailbox, Profession, SourceName, finess
from router.directory.settings import LocalMailbox
from router.request import Recipient


class Table:
    """`directory.mailboxes` of the site file. It always answers."""

    name: SourceName = "table"

    def __init__(self, lines: Collection[LocalMailbox]) -> None:
        self._lines = tuple(lines)

    def mailboxes(self, *, rpps: str = "", finess: str = "") -> tuple[Mailbox, ...]:
        """See `MailboxSource`."""
        if not (rpps or finess):
            return ()
        found = (
            box for box in map(_mailbox, self._lines) if (rpps in ("", box.rpps)) and (finess in ("", box.structure))
        )
        return tuple(dict.fromkeys(found))

    def holders(self, address: str) -> tuple[Mailbox, ...]:
        """See `MailboxSource`."""
        return tuple(box for box in map(_mailbox, self._lines) if box.address == address.lower())

    def professions(self, rpps: str) -> tuple[Profession, ...]:  # noqa: ARG002  # the interface's
        """None: the table knows no professions."""
        return ()

    def structure_name(self, number: str) -> str:  # noqa: ARG002  # the interface's
        """None: the table names no structures."""
        return ""

    def addresses(self, recipient: Recipient) -> tuple[str, ...]:
        """The mailboxes of an organisation, a service or an application; each once."""
        found = {line.address.lower(): line.address for line in self._lines if _names(line, recipient)}
        return tuple(found.values())


def _mailbox(line: LocalMailbox) -> Mailbox:
    kind = "PER" if line.rpps else "APP" if line.application else "ORG"
    return Mailbox(line.address.lower(), kind, rpps=line.rpps, structure=finess(line.structure), service=line.number)


def _names(line: LocalMailbox, recipient: Recipient) -> bool:
    """Whether a line of the site's table is this recipient's."""
    if line.rpps:
        return False
    if line.application or recipient.application:
        return line.application == recipient.application
    structure = recipient.structure
    if structure is None:
        return False
    number = finess(structure.finess or structure.id)
    if line.number:  # a service's own line
        owner = recipient.owner or structure.finess
        return (
            line.number == structure.id
            and (not line.kind or line.kind == structure.kind)
            and (not line.structure or finess(line.structure) == finess(owner))
        )
    if structure.kind in UNITS:
        return False  # the hospital's mailbox is not that of each of its services (hl7-input §4.2)
    return finess(line.structure) == number and (not line.kind or line.kind == structure.kind)
