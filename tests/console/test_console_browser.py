"""Every page in real Chromium: both languages, light and dark, wide and narrow; rules of WCAG, policy, identities."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser as Chromium

from router.console.app import console_app
from router.console.registry import all_pages
from router.simulators.sender import Maker
from tests.console.browser import Watcher, chromium
from tests.console.console_world import EVENT_A, World, token
from tests.console.worklist_world import everything

#: Name of a page -> the address that is visited. A page that shows nothing by itself needs none: see `UNSEEN`.
SEEN = {
    "state": "/",
    "search": "/search?since=all",
    "message": f"/messages/{EVENT_A}",
    "choices": "/choices",
    "account": "/account",
    "dead-letters": "/dead-letters",
    "orders": "/orders",
    "pipelines": "/pipelines",
    "directory": "/directory",
    "audit": "/audit",
    "worklist": "/worklists/waiting",
    "handover": "/worklists/handover",
}
#: More states of the same pages: empty, faulty, behind glass.
MORE = {
    "search-empty": "/search?since=1m",
    "search-fault": "/search?since=demain",
    "message-closed": f"/messages/{EVENT_A}?view=hl7",
    "message-rules": f"/messages/{EVENT_A}?view=rules",
    "message-decisions": f"/messages/{EVENT_A}?view=decisions",
    "worklist-identity": "/worklists/identity",
    "worklist-not-received": "/worklists/not-received",
    "worklist-empty": "/worklists/waiting?mine=1",
    "unknown": "/nothing",
}
#: Pages that answer with a file, a part of a page, or a redirection.
WITH_DATA = frozenset({"dead-letter-group", "order", "pipeline", "worklist-case"})
"""Pages of one thing: see `of_one_thing`."""
UNSEEN = frozenset({"login", "logout", "export", "searches", "searches-remove", "open", "hide", "pdf-page", "narrative",
                    "raw", "mail-html", "mail-file", "mail-pdf", "mail-part-raw", "mail-raw", "worklists", "oidc",
                    "oidc_return", "oidc_end"})  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A's message stands on the bus; its patient has a name that would be a script."""
    made = World(tmp_path_factory.mktemp("browser"))
    made.fill()
    everything(made)
    made.write_pipeline()
    maker = Maker(3)
    patient = maker.patient(family="<SCRIPT>X", given="ÉLODIE", sex="F")
    made.receive(maker.message(maker.document("biology", patient, size=12_000)))
    made.secrets = [patient.given, patient.birth_family, patient.birth_date, patient.ins or "?", patient.ipp]
    made.tools = replace(made.tools)
    made.app = console_app(made.tools)
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(world: World) -> Iterator[str]:
    with world.served() as there:
        yield there


@pytest.fixture(scope="module")
def browser(of_one_thing: dict[str, str]) -> Iterator[Chromium]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def of_one_thing(world: World) -> dict[str, str]:
    """Page -> address of a cause, a dry run, a pipeline and a case of this world."""
    client = world.client("jeanne")
    found = client.get("/dead-letters").text, client.get("/worklists/waiting").text
    cause = re.search(r'href="(/dead-letters/[^"?]+)"', found[0])
    case = re.search(r'href="(/worklists/waiting/[^"?]+)"', found[1])
    assert cause and case
    page = client.get(cause[1])
    form = {"_token": token(page), "cause": cause[1].rpartition("/")[2], "act": "replay"}
    order = client.post("/orders", form).headers["location"]
    return {"dead-letter-group": cause[1], "order": order, "pipeline": "/pipelines/documents", "worklist-case": case[1]}


def test_every_page_is_seen(of_one_thing: dict[str, str]) -> None:
    """A new page stands in one of the lists above."""
    assert of_one_thing.keys() == WITH_DATA
    assert {page.name for page in all_pages()} == {*SEEN, *UNSEEN, *WITH_DATA}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", ["fr", "en"])
def test_no_page_has_a_fault(
    browser: Chromium, address: str, world: World, of_one_thing: dict[str, str], language: str
) -> None:
    """Wide and narrow, light and dark: nothing on the console, no violation of WCAG 2.2 AA, no width, no identity.

    A page has the same colours in each language.
    """
    person = Watcher(browser, address, "jeanne", language=language)
    faults = {}
    for name, path in {**SEEN, **MORE, **of_one_thing}.items():
        person.see(path)
        if found := person.looks(colours=language == "fr"):
            faults[name] = found
    person.close()
    assert not faults
    shown = "".join(person.bodies)
    assert not [secret for secret in world.secrets if secret in shown]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_content_is_opened_seen_and_hidden(browser: Chromium, address: str, world: World) -> None:
    """With a reason the tree and the document are there, and have no fault either; hidden, they are gone on "back"."""
    person = Watcher(browser, address, "marie", language="fr")
    person.see(f"/messages/{EVENT_A}?view=hl7")
    person.page.select_option("#f-reason", "call")
    person.page.fill("#f-text", "le médecin a téléphoné")
    person.page.click("main form.form button")
    assert "ÉLODIE" in person.page.content() and not person.faults()
    for view in ("document", "mail"):
        person.see(f"/messages/{EVENT_A}?view={view}")
        assert not person.faults()
    person.see(f"/messages/{EVENT_A}?view=hl7")
    person.page.click("form[data-hide] button")
    person.page.go_back()
    person.page.wait_for_load_state()
    assert "ÉLODIE" not in person.page.content()
    person.close()


@pytest.mark.slow
def test_a_doctor_s_name_leads_to_the_cause_with_keys_alone(browser: Chromium, address: str) -> None:
    """`/`, the name, Enter: the row says the cause; `j`, Enter: the message; `u` goes back to the list."""
    person = Watcher(browser, address, "marie")
    person.see("/")
    page = person.page
    page.keyboard.press("/")
    page.keyboard.type("HODA")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=*")
    assert "boîte pleine" in page.inner_text("main")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/messages/*")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url(f"{address}/")
    page.keyboard.press("?")
    assert page.locator("#keys").get_attribute("open") is not None
    page.keyboard.press("Escape")
    page.focus("#box")
    page.keyboard.type("gs?jk")
    assert page.input_value("#box") == "gs?jk" and page.url == f"{address}/"
    assert not person.said
    person.close()


@pytest.mark.slow
def test_pages_work_without_script(browser: Chromium, address: str) -> None:
    """Search, message, tabs, and the reason that opens a content."""
    person = Watcher(browser, address, "marie", script=False)
    page = person.page
    page.fill("#box", "MSGA1")
    page.click("form.box button")
    page.click("text=HL7")
    page.select_option("#f-reason", "test")
    page.fill("#f-text", "mise en place du flux")
    page.click("main form.form button")
    assert "ÉLODIE" in page.content()
    page.click("form[data-hide] button")
    assert "ÉLODIE" not in page.content()
    person.close()


@pytest.mark.slow
def test_a_burst_moves_nothing_under_the_focus_and_is_announced_once(
    browser: Chromium, address: str, world: World
) -> None:
    """500 messages: what has the focus stays until it is left, then the count is right; one announcement at most."""
    person = Watcher(browser, address, "marie")
    person.see("/")
    page = person.page
    page.evaluate(
        "new MutationObserver(() => document.body.dataset.heard = 1 + Number(document.body.dataset.heard || 0))"
        ".observe(document.querySelector('#live-said'), {childList: true, characterData: true, subtree: true})"
    )
    page.focus("#state-flows a")
    before = page.inner_text("#state-flows")
    for number in range(10):
        world.write([_another(world, f"{number}{rank:063}") for rank in range(50)])
    page.wait_for_timeout(2500)
    assert page.inner_text("#state-flows") == before
    page.focus("#box")
    page.wait_for_function("before => document.querySelector('#state-flows').innerText !== before", arg=before)
    page.wait_for_function("document.querySelector('#state-flows tr[data-row]').innerText.includes('501')")
    assert int(page.evaluate("document.body.dataset.heard || 0")) <= 1
    assert not person.said
    person.close()


@pytest.mark.slow
def test_at_400_percent_no_stop_is_hidden(browser: Chromium, address: str) -> None:
    """A window of 320 by 256: each stop of the keyboard is seen, whole or its beginning; forced colours cut nothing."""
    person = Watcher(browser, address, "jeanne", language="fr")
    page = person.page
    page.set_viewport_size({"width": 320, "height": 256})
    page.emulate_media(forced_colors="active")
    for path in ("/", f"/messages/{EVENT_A}"):
        person.see(path)
        hidden = page.evaluate(_HIDDEN)
        assert hidden["stops"] > 10 and hidden["hidden"] == [], path
        assert not [fault for fault in person.faults() if "too wide" in fault]
    person.close()


#: Gives the focus to each stop in turn: it is hidden when another thing stands at the beginning of its box.
_HIDDEN = """async () => {
  const stops = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
    .filter((one) => one.checkVisibility() && !one.closest(".skip") && !one.matches(".skip"));
  const hidden = [];
  for (const one of stops) {
    one.focus();
    await new Promise((done) => requestAnimationFrame(done));
    const box = one.isConnected && one.getClientRects()[0];  // a live number may have replaced it meanwhile
    if (!box) continue;
    const at = document.elementFromPoint(box.left + Math.min(6, box.width / 2), box.top + Math.min(6, box.height / 2));
    if (!at || !(one.contains(at) || at.contains(one))) hidden.push(one.outerHTML.slice(0, 120));
  }
  return { stops: stops.length, hidden };
}"""


def _another(world: World, event: str = "d" * 64):  # type: ignore[no-untyped-def]
    from tests.journal.journal_samples import received

    return received(event, world.clock.at - 30, feed="sil", control_id="MSGA2", structures=("750100125",))
