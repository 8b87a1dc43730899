"""Whatever a person can do on the pages a program can do too, or a table says why not; the two can't drift apart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from starlette.routing import Mount, Route

from router.console.api.operation import BASE, all_operations
from router.console.app import _Console
from router.console.registry import all_pages
from tests.console.console_world import World

_TEMPLATES: Final = Path(__file__).parents[2] / "router/console/templates"
_BROWSER: Final = "it begins or ends the session of a browser; a program comes with a token"
_OWN: Final = "a person's own account is changed by the person herself, in a browser"
_SHOWN: Final = "a picture of a document whose bytes `openMessage` gives"
_OF_MAIL: Final = "a part of a mail whose bytes `openMessage` gives"
#: What of the pages the API has not, and why.
WITHOUT: Final = {
    "GET /login": _BROWSER,
    "POST /login": _BROWSER,
    "POST /logout": _BROWSER,
    "GET /login/oidc": _BROWSER,
    "GET /login/oidc/return": _BROWSER,
    "GET /logout/oidc": _BROWSER,
    "POST /account end": _OWN,
    "POST /account end-others": _OWN,
    "POST /account password": _OWN,
    "POST /account totp": _OWN,
    "POST /account totp-confirm": _OWN,
    "POST /account totp-off": _OWN,
    "GET /choices": "how a person likes the pages",
    "POST /choices": "how a person likes the pages",
    "POST /messages/{id}/hide": "the API keeps nothing open: each look at a content has its own reason",
    "GET /messages/{id}/documents/{rank}/pages/{page}": _SHOWN,
    "GET /messages/{id}/documents/{rank}/text": _SHOWN,
    "GET /messages/{id}/mails/{mail}/html": _OF_MAIL,
    "GET /messages/{id}/mails/{mail}/parts/{part}/page": _OF_MAIL,
    "GET /messages/{id}/mails/{mail}/parts/{part}/pages/{page}": _OF_MAIL,
    "GET /messages/{id}/mails/{mail}/parts/{part}/raw": _OF_MAIL,
    "POST /orders/{id} decline": "a second person decides on the page, where she reads what she answers for",
}
#: Routes that are no page.
BESIDE: Final = {
    "/assets/{digest}/{name}": "files of the pages",
    "/live": "tells a page when to ask for itself again; a program asks when it likes",
    BASE: "the API itself",
}


def test_each_way_of_the_pages_has_an_operation_or_a_reason() -> None:
    """A new page or form fails here until an operation says that it serves it, or the table why there is none."""
    ways = {way for page in all_pages() for way in page.ways}
    served = {way for one in all_operations() for way in one.serves}
    assert served <= ways, "an operation serves what no page does"
    assert WITHOUT.keys() <= ways - served, "a reason for what is served, or is not there"
    assert ways - served - WITHOUT.keys() == set()


def test_the_console_has_no_other_routes(world: World) -> None:
    """What the application itself answers is the pages, and what stands in the table."""
    routes = {one.path for one in _Console(world.tools).app().routes if isinstance(one, Route | Mount)}
    assert routes == {page.path for page in all_pages()} | BESIDE.keys()


def test_the_pages_offer_no_form_that_is_not_declared() -> None:
    """Each value of `do` in a template stands in `Page.does`, without which the frame answers 404; none is idle."""
    offered = {
        value
        for file in _TEMPLATES.glob("*.html")
        for value in re.findall(r'name="do" value="([\w-]+)"', file.read_text(encoding="utf-8"))
    }
    declared = {value for page in all_pages() for value in page.does}
    assert offered <= declared
    choices = {value for page in all_pages() if page.name == "worklist-case" for value in page.does}
    assert declared - offered <= choices, "declared, and offered by no template"
