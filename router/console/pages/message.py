"""One message: what happened to it, why, and what left. Its content only after a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from shlex import quote
from typing import Any, Final

from starlette.responses import Response

from router.archive.item import Item
from router.audit.event import Action
from router.cda.narrative import narrative
from router.cda.whole import Whole
from router.console import (
    called,
    content,
    hl7_tree,
    mail_tab,
    mail_view,
    opening,
    ordering,
    pdf_pages,
    row_view,
    story_view,
)
from router.console.free_text import kept
from router.console.headers import SANDBOX
from router.console.page import Key, NotHere, Page
from router.console.versions import versions
from router.console.visit import Visit
from router.contracts.keeping import Kind
from router.errors import MessageFault, OperatorFault
from router.journal.criteria import ANY
from router.journal.render import entries, mentioned
from router.journal.views import EventStory
from router.language import N_, _
from router.printable import printable_lines
from router.rendering import html as html_of
from router.rendering.page import page_of

VIEWS: Final[Mapping[str, str]] = {
    "timeline": N_("Timeline"),
    "hl7": N_("HL7"),
    "document": N_("Document"),
    "rules": N_("Rules"),
    "decisions": N_("Decisions"),
    "mail": N_("Mail"),
    "dmp": N_("DMP"),
    "reports": N_("Reports"),
}
_BEHIND_GLASS: Final = frozenset({"hl7", "document", "mail", "dmp", "reports"})
_KINDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "dmp": (Kind.SOAP_REQUEST, Kind.SOAP_ANSWER),
    "reports": (Kind.DSN, Kind.MDN, Kind.ZAM),
}
_MAILS: Final = (Kind.DSN, Kind.MDN)
_LONGEST: Final = 200_000


def show(visit: Visit) -> Response:
    """The message under the tab that the address names."""
    try:
        story = story_of(visit)
    except NotHere:
        return _by_name(visit)
    return _page(visit, story, {})


def _by_name(visit: Visit) -> Response:
    """On to the message that is called so (MSH-10, document, delivery, mail); a list of several. Raises `NotHere`."""
    found = called.called(visit, visit.path["id"])
    if not found:
        raise NotHere
    if len(found) == 1:
        return visit.see_other(_address(found[0], _view(visit.asked("view"))))
    rows = [called.row(visit, one) for one in found]
    name = visit.path["id"]
    return visit.page("messages_called.html", rows=rows, name=name, command=f"segur-router explain {quote(name)}")


def open_content(visit: Visit) -> Response:
    """Show the content for a quarter of an hour; the reason is in the audit before anything is read."""
    story = story_of(visit)
    reason, text = visit.field("reason"), visit.field("text")
    if faults := opening.faults(reason, text):
        return _page(visit, story, faults, status=400)
    opening.open_it(visit, story.event, reason, text)
    return visit.see_other(_address(story, _view(visit.field("view"))))


def hide(visit: Visit) -> Response:
    """Hide it again."""
    story = story_of(visit)
    opening.shut(visit, story.event.event_id)
    if visit.session is not None:
        visit.tools.mails.forget(visit.session.id)
    return visit.see_other(_address(story, "timeline"))


def _address(story: EventStory, view: str) -> str:
    return f"/messages/{story.event.event_id}" + ("" if view == "timeline" else f"?view={view}")


def story_of(visit: Visit) -> EventStory:
    """The message of the address, if this person may see it. Raises `NotHere`."""
    found = visit.tools.services.journal.story(
        visit.path["id"], 1, replace(ANY, within=visit.structures), look_back=True
    )
    if not found or found[0].event.event_id != visit.path["id"]:
        raise NotHere
    return found[0]


def _view(name: str) -> str:
    return name if name in VIEWS else "timeline"


def _page(visit: Visit, story: EventStory, faults: Mapping[str, str], status: int = 200) -> Response:
    view = _view(visit.asked("view") or visit.field("view"))
    until = opening.until(visit, story.event.event_id)
    services = visit.tools.services
    names = services.journal.control_ids(mentioned(story)) if view == "timeline" else {}
    glass = view in _BEHIND_GLASS
    return visit.page(
        "message.html",
        status=status,
        story=story,
        event=story.event,
        type=row_view.type_of(story.event, services.value_sets),
        verdicts=list(story_view.verdicts(story)),
        view=view,
        tabs=[(_(word), _address(story, name), name == view) for name, word in VIEWS.items()],
        until=until,
        closed=glass and until is None,
        behind_glass=glass,
        reasons=opening.REASONS,
        faults=faults,
        typed={name: kept(visit.field(name)) for name in ("reason", "text")},
        entries=list(entries(story, names)) if view == "timeline" else [],
        rules=list(story_view.rules(story)) if view == "rules" else [],
        decisions=list(story_view.decisions(story)) if view == "decisions" else [],
        given_up=ordering.given_up(visit, story) if view == "timeline" else (),
        versions=versions(services.journal, visit.tools.desk, story, visit.structures) if view == "timeline" else (),
        items=_items(visit, story, view),
        **(mail_tab.values(visit, story, shown=until is not None) if view == "mail" else {}),
        **_opened(visit, story, view if glass and until is not None else ""),
    )


def _items(visit: Visit, story: EventStory, view: str) -> Sequence[Item]:
    """What is kept of this kind, without its content: sizes and digests name nobody."""
    archive = visit.tools.archive
    kinds = (Kind.MAIL,) if view == "mail" else _KINDS.get(view, ())
    if archive is None or not kinds:
        return ()
    found = [item for delivery in story.deliveries for item in archive.items(delivery.delivery_id)]
    return [item for item in found if item.kind in kinds]


def _opened(visit: Visit, story: EventStory, view: str) -> dict[str, Any]:
    """What the tab shows of the content; the audit has its line."""
    nothing: dict[str, Any] = {"content": None, "tree": [], "cut": False, "documents": [], "shown": []}
    if not view or view == "mail":
        return nothing
    if view in _KINDS:
        return nothing | {"shown": [_shown(visit, story, item) for item in _items(visit, story, view)]}
    found = content.read(visit.tools.services, story)
    if found is None:
        return nothing
    if view == "hl7":
        tree = list(hl7_tree.tree(found.message)) if found.message is not None else []
        return nothing | {
            "content": found,
            "tree": tree,
            "cut": sum(1 + len(one.fields) for one in tree) >= hl7_tree.MOST,
        }
    return nothing | {"content": found, "documents": [_document(found, rank) for rank in range(len(found.documents))]}


def _document(found: content.Content, rank: int) -> dict[str, Any]:
    """One CDA: what its header says, and how many pages its PDF has."""
    document = found.documents[rank]
    whole = Whole(document.raw)
    rows = page_of(found.request, document.header, narrative(whole), ins=True).rows if found.request else ()
    try:
        pdf = document.pdf(whole)
        pages = pdf_pages.count(pdf) if pdf is not None else 0
        fault = ""
    except MessageFault as broken:
        pdf, pages, fault = None, 0, broken.text
    return {
        "header": document.header,
        "rows": rows,
        "pdf": pdf is not None,
        "pages": pages,
        "fault": fault,
        "size": len(document.raw),
    }


def _shown(visit: Visit, story: EventStory, item: Item) -> dict[str, Any]:
    """One thing that was kept, read back from the archive, which writes its own line of the audit."""
    archive = visit.tools.archive
    if archive is None or not item.stored:
        return {"item": item, "mail": None, "text": "", "fault": ""}
    asked = visit.audited(Action.VIEWED, story.event.structure)
    try:
        data = archive.read(item, asked)
    except OperatorFault as fault:
        return {"item": item, "mail": None, "text": "", "fault": fault.text}
    if item.kind in _MAILS:
        try:
            return {"item": item, "mail": mail_view.shown(data), "text": "", "fault": ""}
        except MessageFault as broken:
            return {"item": item, "mail": None, "text": "", "fault": broken.text}
    text = data[:_LONGEST].decode("utf-8", "replace")
    return {"item": item, "mail": None, "text": text, "fault": ""}


# ------------------------------------------------------------------------------------------ parts of the content


def _behind_glass(
    handler: Callable[[Visit, content.Content, int], Response], *, taken: bool = False
) -> Callable[[Visit], Response]:
    """A part of a document: only while the content is open. taken: to keep; the audit says so."""

    def shown(visit: Visit) -> Response:
        story = story_of(visit)
        rank = pdf_pages.number(visit.path["rank"])
        if opening.until(visit, story.event.event_id) is None:
            raise NotHere
        found = content.read(visit.tools.services, story)
        if found is None or rank is None or rank >= len(found.documents):
            raise NotHere
        answer = handler(visit, found, rank)
        if taken:
            event = story.event
            visit.record(
                Action.EXPORTED, kind="document", of=event.event_id, structure=event.structure, detail=str(rank)
            )
        return answer

    return shown


def _pdf_page(visit: Visit, found: content.Content, rank: int) -> Response:
    number = pdf_pages.number(visit.path["page"].removesuffix(".png"))
    try:
        pdf = found.documents[rank].pdf()
        if pdf is None or number is None:
            raise NotHere
        return Response(pdf_pages.page(pdf, number), media_type="image/png")
    except MessageFault as fault:
        raise NotHere from fault


def _read_page(visit: Visit, found: content.Content, rank: int) -> Response:  # noqa: ARG001  (a part of a document)
    """The text of a CDA, laid out; it can do nothing and load nothing."""
    shown = html_of.narrative_body(narrative(Whole(found.documents[rank].raw)))
    head = f'<meta charset="utf-8"><title>CDA</title><style>{html_of.STYLE}</style>'
    page = f'<!doctype html><html lang="fr">{head}{shown}</html>'
    policy = SANDBOX.replace("default-src 'none'", "default-src 'none'; img-src data:")
    return Response(printable_lines(page), media_type="text/html", headers={"Content-Security-Policy": policy})


def _raw(visit: Visit, found: content.Content, rank: int) -> Response:  # noqa: ARG001  (a part of a document)
    """The document as it came, to keep."""
    headers = {"Content-Disposition": f'attachment; filename="document-{rank + 1}.xml"'}
    return Response(found.documents[rank].raw, media_type="application/octet-stream", headers=headers)


_PART: Final = "/messages/{id}/documents/{rank}"
_TITLE: Final = N_("Message")
PAGES: Final = (
    Page(
        name="message",
        path="/messages/{id}",
        title=_TITLE,
        question=N_("What happened to it, why, and what left?"),
        show=show,
        rate="240/minute",
        keys=(
            Key("t", N_("timeline"), ".tabs a[data-view=timeline]"),
            Key("h", N_("HL7"), ".tabs a[data-view=hl7]"),
            Key("d", N_("DMP"), ".tabs a[data-view=dmp]"),
            Key("m", N_("mail"), ".tabs a[data-view=mail]"),
            Key("e", N_("first failure"), "#first-failure"),
            Key("c", N_("show the content"), "#f-reason, #open"),
            Key("u", N_("back to the list"), "#back"),
        ),
    ),
    Page(name="open", path="/messages/{id}/open", title=_TITLE, act=open_content, act_rate="30/minute"),
    Page(name="hide", path="/messages/{id}/hide", title=_TITLE, act=hide),
    Page(name="pdf-page", path=_PART + "/pages/{page}", title=_TITLE, show=_behind_glass(_pdf_page), rate="300/minute"),
    Page(name="narrative", path=_PART + "/text", title=_TITLE, show=_behind_glass(_read_page), rate="60/minute"),
    Page(name="raw", path=_PART + "/raw", title=_TITLE, show=_behind_glass(_raw, taken=True), rate="10/minute"),
)
