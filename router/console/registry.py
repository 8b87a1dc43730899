"""The pages of the console: those that the modules of `router.console.pages` declare."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from router.console.page import Page

_FOLDER = Path(__file__).parent / "pages"


@cache
def all_pages() -> tuple[Page, ...]:
    """Every page, by its module."""
    names = sorted(one.name for one in pkgutil.iter_modules([str(_FOLDER)]))
    return tuple(page for name in names for page in import_module(f"router.console.pages.{name}").PAGES)


def menu() -> tuple[Page, ...]:
    """Pages with an entry in the menu, in its order."""
    return tuple(sorted((page for page in all_pages() if page.menu), key=lambda page: page.rank))
