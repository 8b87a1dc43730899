"""Pictures of every page for docs/console.md, of a console of the demo: fictitious people alone.

`make demo ARGS=--keep` prints what is asked for here:
`python -m tests.console.pictures http://127.0.0.1:PORT administratrice PASSWORD docs/console`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.console.browser import Watcher, chromium

#: Name of a picture -> address of its page, or (address of a list, selector of the first link to a page of one thing).
PAGES: Final[dict[str, str | tuple[str, str]]] = {
    "etat": "/",
    "recherche": "/search?since=all",
    "message": ("/search?since=all&outcome=failed", "main td a[href^='/messages/']"),
    "echecs": "/dead-letters",
    "cause": ("/dead-letters", "main th a[href^='/dead-letters/']"),
    "ordres": "/orders",
    "attente": "/worklists/waiting",
    "identite": "/worklists/identity",
    "non-recus": "/worklists/not-received",
    "cas": ("/worklists/not-received", "main th a[href^='/worklists/']"),
    "releve": "/worklists/handover",
    "pipelines": "/pipelines",
    "pipeline": ("/pipelines", "main a[href^='/pipelines/']"),
    "annuaire": "/directory",
    "audit": "/audit",
    "choix": "/choices",
    "compte": "/account",
}
DARK: Final = ("message",)
_HIGHEST: Final = 720
"""Pixels of a picture; a longer page is cut."""


def take(address: str, name: str, password: str, folder: Path) -> Iterator[Path]:
    """Each picture, as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for dark in (False, True):
            person = Watcher(browser, address, "", language="fr", dark=dark)
            page = person.page
            if not dark:
                page.goto(f"{address}/login")
                yield _picture(person, folder / "connexion.png")
            person.log_in(name, password)
            for picture, place in PAGES.items():
                if dark and picture not in DARK:
                    continue
                path, link = place if isinstance(place, tuple) else (place, "")
                person.see(path)
                if link and not page.locator(link).count():
                    continue
                if link:
                    page.locator(link).first.click()
                    page.wait_for_load_state()
                yield _picture(person, folder / f"{picture}{'-sombre' if dark else ''}.png")
            person.close()


def _picture(person: Watcher, file: Path) -> Path:
    height = int(person.page.evaluate("document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": 1280, "height": min(max(height, 300), _HIGHEST)}
    person.page.screenshot(path=file, full_page=True, clip=clip)  # type: ignore[arg-type]  # a TypedDict
    return file


def main(address: str, name: str, password: str, folder: str) -> None:
    for file in take(address, name, password, Path(folder)):
        sys.stdout.write(f"{file.name} {file.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
