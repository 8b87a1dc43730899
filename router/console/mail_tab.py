"""The tab of the mails: which there are, the one that is looked at, and what of it is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from router.console import mail_view, mails, pdf_pages
from router.console.mail_shelf import Sent
from router.console.mail_view import MailView
from router.console.mails import Choice
from router.errors import Malformed, MessageFault
from router.journal.views import EventStory

if TYPE_CHECKING:
    from router.console.visit import Visit

_LONGEST: Final = 200_000
"""Characters of a file that are shown."""
_PAGES: Final = (".htm", ".html", ".xhtml")
Form = Literal["pdf", "page", "text", "bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One part, or one file of an archive. form: how it is shown;  pages: of a PDF"""

    place: str
    name: str = field(repr=False)
    form: Form
    pages: int = 0
    text: str = field(default="", repr=False)
    fault: str = ""


def values(visit: Visit, story: EventStory, *, shown: bool) -> dict[str, Any]:
    """What the template needs. shown: whether the content is open; without it only what names nobody."""
    found = mails.choices(visit, story)
    chosen = chosen_of(visit.asked("mail"), found)
    known: dict[str, Any] = {
        "mails": found,
        "mail_chosen": chosen,
        "sent": None,
        "mail": None,
        "part": None,
        "pdfs": {},
    }
    if chosen is None or not shown:
        return known
    sent = mails.read(visit, story, chosen)
    known["sent"] = sent
    if sent.fault:
        return known
    try:
        mail = view_of(sent)
    except MessageFault as broken:
        return known | {"sent": Sent(fault=broken.text)}
    pages = {one.place: _pages_of(sent, one.place) for one in mail.parts if one.pdf}
    return known | {"mail": mail, "pdfs": pages, "part": _opened(sent, mail, visit.asked("part"))}


def view_of(sent: Sent) -> MailView:
    """How the mail looks. Raises `Malformed`."""
    if sent.view is None:
        sent.view = mail_view.shown(sent.data)
    return sent.view


def part_of(sent: Sent, place: str) -> bytes:
    """What stands at a place of it. Raises `Malformed`, also for a place that the mail does not have."""
    if place not in _names(view_of(sent)):
        raise Malformed("MAIL-VIEW", "", mail_view.NOT_THERE)
    found = sent.parts.get(place)
    if found is None:
        found = mail_view.part(sent.data, place)
        sent.keep(place, found)
    return found


def _names(mail: MailView) -> dict[str, str]:
    """Place -> name of each part, and of each file of an archive."""
    names = {one.place: one.name for one in mail.parts}
    return names | {entry.place: entry.name for one in mail.parts for entry in one.entries}


def chosen_of(key: str, found: Sequence[Choice]) -> Choice | None:
    """The one that the address names, else the first."""
    return next((one for one in found if one.key == key), found[0] if found and not key else None)


def _pages_of(sent: Sent, place: str) -> int:
    """Pages of a PDF; 0 for one that can't be read."""
    if place not in sent.pages:
        try:
            sent.pages[place] = pdf_pages.count(part_of(sent, place))
        except MessageFault:
            sent.pages[place] = 0
    return sent.pages[place]


def _opened(sent: Sent, mail: MailView, place: str) -> Opened | None:
    """The part that the address names; None when it names none of this mail's."""
    names = _names(mail)
    if place not in names:
        return None
    name = names[place]
    try:
        content = part_of(sent, place)
    except MessageFault as fault:
        return Opened(place=place, name=name, form="bytes", fault=fault.text)
    if content[:5] == b"%PDF-":
        return Opened(place=place, name=name, form="pdf", pages=_pages_of(sent, place))
    if name.lower().endswith(_PAGES):
        return Opened(place=place, name=name, form="page")
    text = content[: 4 * _LONGEST].decode("utf-8", "replace")
    if "\0" in text[:1000]:
        return Opened(place=place, name=name, form="bytes")
    return Opened(place=place, name=name, form="text", text=text[:_LONGEST])
