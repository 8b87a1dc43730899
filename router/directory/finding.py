"""What each source names for a RPPS, a FINESS or an address: for people who look."""

from __future__ import annotations

from dataclasses import dataclass

from router.directory.directory import Directory
from router.directory.mailboxes import Mailbox, MailboxSource, finess, rpps
from router.errors import OperatorFault, RouterError, Unavailable


@dataclass(frozen=True, slots=True)
class Named:
    """What one source names. fault: why it could not answer, None when it did"""

    source: MailboxSource
    boxes: tuple[Mailbox, ...] = ()
    fault: RouterError | None = None


def named(directory: Directory, word: str) -> list[Named]:
    """Of every source that the site configures, in their order."""
    return [_asked(source, word) for source in directory.all_sources()]


def _asked(source: MailboxSource, word: str) -> Named:
    try:
        if "@" in word:
            return Named(source, source.holders(word))
        if number := rpps(word):
            return Named(source, source.mailboxes(rpps=number))
        return Named(source, source.mailboxes(finess=finess(word)))
    except (Unavailable, OperatorFault) as fault:
        return Named(source, fault=fault)
