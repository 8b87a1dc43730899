"""Real Chromium, driven by Playwright: what a page says on its console, what axe finds, what it shows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, sync_playwright

from tests.console.console_world import PASSWORD

CHROMIUM: Final = shutil.which("chromium") or "/usr/bin/chromium"
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_OPTIONS: Final = {"runOnly": {"type": "tag", "values": _TAGS}, "resultTypes": ["violations"]}

_COLOURS: Final = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
_LOOKS: Final[Sequence[tuple[int, Literal["light", "dark"], Mapping[str, Any]]]] = (
    (1280, "light", _OPTIONS),
    (1280, "dark", _COLOURS),
    (320, "dark", _OPTIONS),
    (320, "light", _COLOURS),
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; `scripts/services browser` installs it."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Watcher:
    """A person at a browser. Everything that the browser complains of, and each answer without its policy, is kept."""

    def __init__(
        self,
        browser: Browser,
        address: str,
        name: str,
        *,
        language: str = "en",
        dark: bool = False,
        width: int = 1280,
        script: bool = True,
    ) -> None:
        self.address = address
        self.context: BrowserContext = browser.new_context(
            locale={"en": "en-GB", "fr": "fr-FR"}[language],
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            timezone_id="Asia/Tokyo",  # pages tell the time of France, wherever the browser is
        )
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.bodies: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("response", self._answered)
        if name:
            self.log_in(name, PASSWORD)

    def log_in(self, name: str, password: str) -> None:
        self.page.goto(f"{self.address}/login")
        self.page.fill("#f-name", name)
        self.page.fill("#f-password", password)
        self.page.click("main button")

    def _heard(self, message: ConsoleMessage) -> None:
        if not re.match(r"Failed to load resource: the server responded with a status of 4\d\d", message.text):
            self.said.append(f"{message.type}: {message.text}")

    def _answered(self, answer: Response) -> None:
        policy = answer.headers.get("content-security-policy", "")
        if not policy.startswith(("default-src 'none'; script-src 'nonce-", "sandbox; default-src 'none'")):
            self.said.append(f"no policy: {answer.url}")

    def see(self, path: str) -> str:
        """Go there; returns the page's HTML, which is kept for the search of identities too."""
        self.page.goto(f"{self.address}{path}")
        self.page.wait_for_load_state()
        self.bodies.append(self.page.content())
        return self.bodies[-1]

    def looks(self, *, colours: bool = True) -> list[str]:
        """The faults of the page that is shown, wide and narrow, light and dark: `faults` in each of the four.

        The rules that know nothing of colours are asked once for each width: they would say the same.
        colours: also in the two looks that differ from these by their colours alone
        """
        found: list[str] = []
        for width, scheme, options in _LOOKS:
            if options is _COLOURS and not colours:
                continue
            self.page.set_viewport_size({"width": width, "height": 900})
            self.page.emulate_media(color_scheme=scheme)
            found += [f"{width} {scheme}: {fault}" for fault in self.faults(options)]
            self.said.clear()
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")
        return found

    def faults(self, options: Mapping[str, Any] = _OPTIONS) -> list[str]:
        """What the console said, what axe finds on the page that is shown, and whether it is wider than the window."""
        if not self.page.evaluate("typeof window.axe !== 'undefined'"):
            self.page.evaluate(Axe().axe_script)
        found = self.page.evaluate("options => axe.run(document, options).then(found => found.violations)", options)
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        axe = [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]
        return [*self.said, *axe, *([f"{wide} px too wide"] if wide > 0 else [])]

    def picture(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file, full_page=True)

    def close(self) -> None:
        self.context.close()
