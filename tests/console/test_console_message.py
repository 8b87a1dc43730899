"""One message: its story for whoever may see it, its content only for a reason, and never longer than said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from io import BytesIO
from threading import Barrier, BoundedSemaphore, Thread
from zipfile import ZipFile

import pytest

from router.archive.item import Item
from router.audit.event import Action, AuditEvent
from router.console import apart, hl7_tree, mail_view, pdf_pages
from router.console.app import console_app
from router.console.opening import SECONDS
from router.console.registry import all_pages
from router.contracts.keeping import Kind
from router.errors import Malformed, Unavailable
from router.hl7.message import Message
from router.simulators.sender import Maker
from router.simulators.sender.pdf import pdf
from tests.console.console_world import EVENT_A, EVENT_B, A, Browser, World, text_of, token

ADDRESS = f"/messages/{EVENT_A}"
REASON = {"reason": "call", "text": "le médecin a téléphoné", "view": "hl7"}
FAMILY = "<SCRIPT>ALERT"


@dataclass
class Kept:
    """An archive of two things: a mail, and the answer of the DMP. It records who reads as the real one does."""

    world: World
    data: dict[str, bytes]

    def items(self, delivery_id: str) -> Sequence[Item]:
        kinds = (("1", Kind.MAIL, ""), ("2", Kind.SOAP_ANSWER, "TD2.1"))
        return [self._item(name, kind, said) for name, kind, said in kinds if delivery_id == EVENT_A[:31] + "1"]

    def item(self, item_id: str) -> Item | None:
        return next((one for one in self.items(EVENT_A[:31] + "1") if one.id == item_id), None)

    def read(self, item: Item, asked: AuditEvent) -> bytes:
        self.world.tools.record(replace(asked, kind="archive", object=item.id))
        return self.data[item.id]

    def _item(self, name: str, kind: Kind, said: str) -> Item:
        body, at = self.data[name], self.world.clock.at
        return Item(
            id=name, delivery_id=EVENT_A[:31] + "1", event_id=EVENT_A, kind=kind, name=said, at=at, size=len(body),
            sha256=hashlib.sha256(body).hexdigest(), content_until=at + 1, proof_until=at + 9, stored=True,
        )  # fmt: skip


def _mail(family: str) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "pfi@a.test.mssante.fr", "adam.hoda@x.mssante.fr", f"CR de {family}"
    mail.set_content(f"Bonjour, concernant {family}.\n")
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("IHE_XDM/SUBSET01/METADATA.XML", "<a/>")
    mail.add_attachment(packed.getvalue(), "application", "zip", filename="IHE_XDM.ZIP")
    return mail.as_bytes()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A's message stands on the bus, with a PDF, and its mail in the archive; its patient has a hostile name."""
    world = World(tmp_path_factory.mktemp("message"))
    world.fill()
    maker = Maker(3)
    patient = maker.patient(family=FAMILY, given="ÉLODIE", sex="F")
    world.receive(maker.message(maker.document("imaging", patient, size=12_000), event="MDM"))
    world.secrets = [patient.birth_family, patient.given, patient.birth_date, patient.ins or "?", patient.ipp]
    world.tools = replace(world.tools, archive=Kept(world, {"1": _mail(FAMILY), "2": b"<answer>\r</answer>"}))
    world.app = console_app(world.tools)
    yield world
    world.close()


def _open(client: Browser, **changes: str) -> int:
    form = {"_token": token(client.get(ADDRESS)), **REASON, **changes}
    return client.post(f"{ADDRESS}/open", form).status_code


VIEWS = ("timeline", "hl7", "document", "rules", "decisions", "mail", "dmp", "reports")


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_of_a_patient_is_shown_unasked(filled: World, view: str) -> None:
    """No tab holds an identity before its reason; each says what it can."""
    page = filled.client("marie").get(f"{ADDRESS}?view={view}")
    assert page.status_code == 200
    assert not [secret for secret in filled.secrets if secret in page.text]


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_story_says_what_became_of_each_leg(filled: World, language: str) -> None:
    """The cause in words, what to do, and each line with its time."""
    page = text_of(filled.client("marie", language=language).get(ADDRESS))
    assert "boîte pleine" in page and "MSS-552" in page and "MSGA1" in page
    assert ("en échec" if language == "fr" else "failed") in page


def test_a_message_of_another_hospital_does_not_exist(filled: World) -> None:
    """Each address of it answers as one that nobody knows, open content included."""
    client = filled.client("marie")
    unknown = client.get(f"/messages/{'c' * 64}")
    paths = [page.path for page in all_pages() if page.path.startswith("/messages/{id}")]
    for path in paths:
        there = path.replace("{id}", EVENT_B).replace("{rank}", "0").replace("{page}", "0.png")
        show = client.get(there)
        assert show.status_code in (404, 405), there
        if show.status_code == 404 and "{" not in path.removeprefix("/messages/{id}"):
            assert len(show.text) == len(unknown.text)
        sent = {"_token": token(unknown), **REASON}
        assert client.post(there, sent).status_code in (404, 405), there


def test_the_audit_has_the_reason_before_anything_is_shown(filled: World) -> None:
    """Who, which message, which structure, why; then the tree with the names of its fields."""
    client = filled.client("marie")
    assert _open(client) == 303
    event = filled.audit[-1]
    assert (event.who, event.action, event.kind, event.object) == ("marie", Action.VIEWED, "event", EVENT_A)
    assert event.reason == "call: le médecin a téléphoné" and event.role == "operator"
    page = client.get(f"{ADDRESS}?view=hl7").text
    assert "Patient identifier list" in page and "ÉLODIE" in page
    assert "&lt;SCRIPT&gt;ALERT" in page and FAMILY not in page
    document = client.get(f"{ADDRESS}?view=document").text
    assert "ÉLODIE" in document and "/documents/0/pages/0.png" in document
    assert client.get(f"{ADDRESS}/documents/0/pages/0.png").content.startswith(b"\x89PNG")
    assert client.get(f"{ADDRESS}/documents/0/raw").headers["content-disposition"].startswith("attachment")
    line = filled.audit[-1]
    assert (line.action, line.structure, line.role) == (Action.EXPORTED, A, "operator")
    for place in ("%C2%B2/raw", "%C2%B2/pages/0.png", "0/pages/%C2%B2.png", "01/raw", "-1/raw"):
        assert client.get(f"{ADDRESS}/documents/{place}").status_code == 404, place
    text = client.get(f"{ADDRESS}/documents/0/text")
    assert text.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_the_mail_is_shown_as_it_left(filled: World) -> None:
    """Headers, text, what the XDM archive holds; each thing that is read has its own line in the audit."""
    client = filled.client("marie")
    assert _open(client, view="mail") == 303
    page = client.get(f"{ADDRESS}?view=mail").text
    assert "adam.hoda@x.mssante.fr" in page and "IHE_XDM/SUBSET01/METADATA.XML" in page and "Bonjour" in page
    assert FAMILY not in page and "&lt;SCRIPT&gt;ALERT" in page
    assert (filled.audit[-1].kind, filled.audit[-1].object) == ("archive", "1")
    assert "&lt;answer&gt;" in client.get(f"{ADDRESS}?view=dmp").text


def test_the_content_is_hidden_again(filled: World) -> None:
    """After a quarter of an hour, by hand, and never in another session of the same person."""
    client, other = filled.client("marie"), filled.client("marie")
    assert _open(client) == 303
    assert "ÉLODIE" in client.get(f"{ADDRESS}?view=hl7").text
    assert "ÉLODIE" not in other.get(f"{ADDRESS}?view=hl7").text
    filled.clock.at += SECONDS + 1
    assert "ÉLODIE" not in client.get(f"{ADDRESS}?view=hl7").text
    assert client.get(f"{ADDRESS}/documents/0/pages/0.png").status_code == 404
    assert _open(client) == 303
    client.post(f"{ADDRESS}/hide", {"_token": token(client.get(ADDRESS))})
    assert "ÉLODIE" not in client.get(f"{ADDRESS}?view=hl7").text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reason": ""}, "Choose a reason"),
        ({"reason": "curious"}, "Choose a reason"),
        ({"text": "appel"}, "ten characters"),
        ({"text": "appel pour 1 87 01 59 123 456 78"}, "this looks like"),
        ({"text": "patiente née le 31/01/1950"}, "this looks like"),
    ],
)
def test_a_reason_is_one_and_names_nobody(filled: World, changes: dict[str, str], sentence: str) -> None:
    """Else nothing opens, the audit stays as it is, and what names somebody does not stay in the field."""
    client, before = filled.client("marie"), len(filled.audit)
    answer = client.post(f"{ADDRESS}/open", {"_token": token(client.get(ADDRESS)), **REASON, **changes})
    assert answer.status_code == 400 and sentence in text_of(answer) and len(filled.audit) == before
    assert (f">{({**REASON, **changes})['text']}</textarea>" in answer.text) == (sentence != "this looks like")
    assert "ÉLODIE" not in client.get(f"{ADDRESS}?view=hl7").text


def test_what_can_t_be_audited_is_not_shown(filled: World) -> None:
    """The database of the audit is away: a sentence, and no content."""
    client = filled.client("marie")
    filled.audit_away = True
    try:
        assert _open(client) == 503
    finally:
        filled.audit_away = False
    assert "ÉLODIE" not in client.get(f"{ADDRESS}?view=hl7").text


def test_a_message_that_the_bus_has_no_longer_says_so(filled: World) -> None:
    """Its story and its proofs stay."""
    client = filled.client("paul")
    page = client.get(f"/messages/{EVENT_B}")
    assert "MSGB1@segur" in page.text
    form = {"_token": token(page), **REASON}
    assert client.post(f"/messages/{EVENT_B}/open", form).status_code == 303
    assert "holds this message no longer" in client.get(f"/messages/{EVENT_B}?view=hl7").text


def test_pages_of_a_pdf_are_drawn_apart() -> None:
    """A picture for a page; a file that is none ends in a fault of ours."""
    made = pdf("bonjour", [], size=3000)
    assert pdf_pages.count(made) == 1
    assert pdf_pages.page(made, 0).startswith(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(Malformed):
        pdf_pages.page(made, 7)
    with pytest.raises(Malformed):
        pdf_pages.count(b"%PDF-1.7 nothing")


NESTED = b"Content-Type: message/rfc822\r\n\r\n" * 3000 + b"x"
HEADER = b"To: " + b"(" * 3000 + b"\r\n\r\nx"
CODEC = b'Content-Type: text/plain; charset="\0"\r\n\r\nbonjour'


@pytest.mark.parametrize("data", [NESTED, HEADER], ids=["nested", "header"])
def test_a_mail_that_breaks_its_reader_is_said_to_be_unreadable(filled: World, data: bytes) -> None:
    """Anybody may write to our mailbox: the page stands, and says that this mail can't be shown."""
    assert isinstance(filled.tools.archive, Kept)
    filled.tools.archive.data["1"] = data
    client = filled.client("marie")
    _open(client, view="mail")
    page = client.get(f"{ADDRESS}?view=mail")
    assert page.status_code == 200 and "this mail can&#39;t be shown" in page.text


def test_a_mail_of_an_impossible_charset_is_read() -> None:
    """Its letters are read as UTF-8."""
    assert mail_view.view(CODEC).text == "bonjour"


def test_a_message_of_a_million_fields_is_shown_in_part() -> None:
    """Its beginning: the page has a bound."""
    message = Message.tolerant(b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5\r" + b"NTE|1|L|a\r" * 20_000)
    assert message is not None
    shown = list(hl7_tree.tree(message))
    assert sum(1 + len(one.fields) for one in shown) <= hl7_tree.MOST + 1


def test_contents_are_made_ready_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes when too many wait is told to come again, and holds no thread."""
    monkeypatch.setattr(apart, "_places", BoundedSemaphore(2))
    monkeypatch.setattr(apart, "_turns", BoundedSemaphore(1))
    made, together = pdf("bonjour", [], size=3000), Barrier(6)
    found: list[str] = []

    def ask() -> None:
        together.wait()
        try:
            found.append(str(pdf_pages.count(made)))
        except Unavailable as fault:
            found.append(fault.code)

    threads = [Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["1", "1", *["CONSOLE-BUSY"] * 4]
