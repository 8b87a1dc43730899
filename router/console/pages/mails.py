"""Parts of a mail that left: its text in HTML, a file in its archive, the pages of a PDF. Only behind a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import nh3
from starlette.responses import Response

from router.audit.event import Action
from router.console import mail_tab, mails, opening, pdf_pages
from router.console.headers import SANDBOX
from router.console.mail_shelf import Sent
from router.console.page import NotHere, Page
from router.console.pages.message import story_of
from router.console.visit import Visit
from router.errors import MessageFault
from router.language import N_
from router.printable import printable_lines

_LONGEST: Final = 200_000


def _opened(handler: Callable[[Visit, Sent], Response], *, taken: bool = False) -> Callable[[Visit], Response]:
    """The mail of the address, while its message is open. taken: to keep; the audit says so. Raises `NotHere`."""

    def shown(visit: Visit) -> Response:
        story = story_of(visit)
        if opening.until(visit, story.event.event_id) is None:
            raise NotHere
        chosen = mail_tab.chosen_of(visit.path["mail"], mails.choices(visit, story))
        if chosen is None:
            raise NotHere
        sent = mails.read(visit, story, chosen)
        if sent.fault:
            raise NotHere
        try:
            answer = handler(visit, sent)
        except MessageFault as fault:
            raise NotHere from fault
        if taken:
            of, part = visit.path["mail"], visit.path.get("part", "")
            visit.record(Action.EXPORTED, kind="mail", of=of, structure=story.event.structure, detail=part)
        return answer

    return shown


def _html(visit: Visit, mail: Sent) -> Response:  # noqa: ARG001  (a part of a mail)
    """The text in HTML, cleaned; it can do nothing and load nothing."""
    return _page(mail_tab.view_of(mail).html)


def _file(visit: Visit, mail: Sent) -> Response:
    """A page in an archive (INDEX.HTM), in the same way."""
    text = mail_tab.part_of(mail, visit.path["part"]).decode("utf-8", "replace")
    return _page(nh3.clean(text[:_LONGEST], attributes={}, link_rel=None))


def _page(cleaned: str) -> Response:
    page = f'<!doctype html><html lang="fr"><meta charset="utf-8"><title>HTML</title><body>{cleaned}'
    return Response(printable_lines(page), media_type="text/html", headers={"Content-Security-Policy": SANDBOX})


def _pdf_page(visit: Visit, mail: Sent) -> Response:
    number = pdf_pages.number(visit.path["page"].removesuffix(".png"))
    if number is None:
        raise NotHere
    return Response(pdf_pages.page(mail_tab.part_of(mail, visit.path["part"]), number), media_type="image/png")


def _raw_part(visit: Visit, mail: Sent) -> Response:
    return _download(mail_tab.part_of(mail, visit.path["part"]), f"part-{visit.path['part']}.bin")


def _raw(visit: Visit, mail: Sent) -> Response:  # noqa: ARG001  (a part of a mail)
    return _download(mail.data, "mail.eml")


def _download(data: bytes, name: str) -> Response:
    """To keep. The name of the file is ours, for the sender's holds an identity."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


_MAIL: Final = "/messages/{id}/mails/{mail}"
_PART: Final = _MAIL + "/parts/{part}"
_TITLE: Final = N_("Message")
PAGES: Final = (
    Page(name="mail-html", path=_MAIL + "/html", title=_TITLE, show=_opened(_html), rate="60/minute"),
    Page(name="mail-file", path=_PART + "/page", title=_TITLE, show=_opened(_file), rate="60/minute"),
    Page(name="mail-pdf", path=_PART + "/pages/{page}", title=_TITLE, show=_opened(_pdf_page), rate="300/minute"),
    Page(
        name="mail-part-raw", path=_PART + "/raw", title=_TITLE, show=_opened(_raw_part, taken=True), rate="30/minute"
    ),
    Page(name="mail-raw", path=_MAIL + "/raw", title=_TITLE, show=_opened(_raw, taken=True), rate="10/minute"),
)
