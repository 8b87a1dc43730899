"""The mails of a message: made again when no copy was kept, their archive file by file; and versions of a document."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from router.access.person import Role
from router.audit.event import Action
from router.console import mail_view
from router.errors import Malformed
from router.exchange import State
from router.simulators.sender.pdf import pdf
from router.wire import delivery_record
from tests.cda.cda_samples import cda, n1_body
from tests.console.console_world import EVENT_A, A, B, Browser, World, problem, text_of, token
from tests.console.sink_worker import work
from tests.journal.journal_samples import decided, receipt, received
from tests.sinks.mssante_samples import DOCTOR, delivery, order
from tests.sinks.test_sink_mssante_mail import members

ADDRESS = f"/messages/{EVENT_A}"
SINK = "mssante.a"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A's mail left; its order stands on the bus, and no copy of it is kept."""
    made = World(tmp_path_factory.mktemp("mails"))
    raw = cda(body=n1_body(pdf("Bilan", ["Résultat normal."])))
    one = delivery(order((raw,)), (raw,), event_id=EVENT_A, sink=SINK, structure=A)
    made.services.bus.producer("test").publish([delivery_record(one)])
    work(made, SINK, [one.id], State.DONE)
    at = made.clock.at
    lines = [
        replace(received(EVENT_A, at - 90, control_id="V1", structures=(A,)), deliveries=((one.id, SINK, DOCTOR),)),
        replace(decided(EVENT_A, at - 80), deliveries=((one.id, SINK, DOCTOR),)),
        received("2" * 64, at - 60, control_id="V2", action="replace", structures=(A,)),
        received("3" * 64, at - 30, control_id="V3", action="delete", structures=(A,)),
        received("4" * 64, at - 20, control_id="V4", action="replace", structures=("750100208",)),
    ]
    made.write(lines)
    made.secrets = [one.id]
    yield made
    made.close()


def opened(world: World, name: str = "marie", language: str = "en") -> Browser:
    client = world.client(name, language=language)
    form = {"_token": token(client.get(ADDRESS)), "reason": "call", "text": "le médecin a téléphoné", "view": "mail"}
    assert client.post(f"{ADDRESS}/open", form).status_code == 303
    return client


def test_a_mail_without_a_copy_is_made_again_and_says_so(world: World) -> None:
    """Headers, text, archive and PDF as the reader has them; the audit has its line; nothing claims to be kept."""
    closed = world.client("marie").get(f"{ADDRESS}?view=mail").text
    assert "Subject" not in closed and "IHE_XDM" not in closed
    client = opened(world)
    answer = client.get(f"{ADDRESS}?view=mail")
    page = text_of(answer)
    assert "made again now" in page and "No digest of what left was kept" in page
    assert "\\x0d" not in answer.text  # a line feed ends a line of the text
    assert f"To {DOCTOR}" in page and "X-MSS-INS" in page and "IHE_XDM/SUBSET01/METADATA.XML" in page
    (line,) = [one for one in world.audit if one.detail == "made-again"]
    assert (line.action, line.kind, line.object, line.structure) == (Action.VIEWED, "mail", world.secrets[0], A)
    assert client.get(f"{ADDRESS}/mails/{world.secrets[0]}/parts/2/pages/0.png").content.startswith(b"\x89PNG")
    client.get(f"{ADDRESS}?view=mail")
    assert len([one for one in world.audit if one.detail == "made-again"]) == 1  # read once for a page and its parts


def test_each_file_of_the_archive_is_shown_in_its_form(world: World) -> None:
    """The metadata as text, INDEX.HTM in a frame that can do nothing, a file to keep with a line of the audit."""
    client = opened(world)
    base = f"{ADDRESS}/mails/{world.secrets[0]}"
    mail = client.get(f"{base}/raw")
    assert mail.headers["content-disposition"] == 'attachment; filename="mail.eml"'
    assert world.audit[-1].action == Action.EXPORTED
    (archive, *_) = mail_view.view(mail.content).parts
    place = {entry.name: entry.place for entry in archive.entries}
    page = client.get(f"{ADDRESS}?view=mail&part={place['IHE_XDM/SUBSET01/METADATA.XML']}").text
    assert "SubmitObjectsRequest" in page and "<SubmitObjectsRequest" not in page
    framed = client.get(f"{ADDRESS}?view=mail&part={place['INDEX.HTM']}").text
    assert f'<iframe sandbox title="INDEX.HTM" src="{base}/parts/{place["INDEX.HTM"]}/page"' in framed
    index = client.get(f"{base}/parts/{place['INDEX.HTM']}/page")
    assert index.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert len(text_of(index).split()) > 20, index.text
    raw = client.get(f"{base}/parts/1/raw")
    assert set(members(raw.content)) == set(place)
    line = world.audit[-1]
    assert (line.action, line.structure, line.role, line.detail) == (Action.EXPORTED, A, "operator", "1")
    kept = len(world.audit)
    for part in ("9", "view", "pages%202", "%00", "%C2%B2", "1.999"):
        for form in ("raw", "page", "pages/0.png"):
            assert client.get(f"{base}/parts/{part}/{form}").status_code == 404, (part, form)
    for page in ("%C2%B2.png", "%D9%A1.png", "-1.png", "9999999.png"):
        assert client.get(f"{base}/parts/2/pages/{page}").status_code == 404, page
    assert len(world.audit) == kept
    for wrong in ("0", "9", "1.0", "1.999", "x", "1.x", "-1"):
        with pytest.raises((LookupError, ValueError)):
            mail_view.standing_at(mail.content, wrong)


def test_no_part_of_a_mail_is_there_without_its_reason(world: World) -> None:
    """Another session, another hospital, and after it was hidden: each address answers as an unknown one."""
    client, base = opened(world), f"{ADDRESS}/mails/{world.secrets[0]}"
    assert client.get(f"{base}/parts/1/raw").status_code == 200
    client.post(f"{ADDRESS}/hide", {"_token": token(client.get(ADDRESS))})
    for one in (client, world.client("marie"), world.client("paul")):
        for part in ("html", "raw", "parts/1/raw", "parts/1.1/page", "parts/2/pages/0.png"):
            assert one.get(f"{base}/{part}").status_code == 404, part


def test_the_digest_of_the_receipt_says_whether_it_is_what_left(world: World) -> None:
    """Byte for byte the same, or not: in words, in both languages."""
    client = opened(world)
    mail = client.get(f"{ADDRESS}/mails/{world.secrets[0]}/raw").content
    world.clock.at += 61
    sent = receipt(2, world.clock.at, delivery_id=world.secrets[0], event_id=EVENT_A, sink=SINK)
    world.write([], [replace(sent, evidence={"mail_sha256": hashlib.sha256(mail).hexdigest()})])
    assert "byte for byte the same" in text_of(opened(world).get(f"{ADDRESS}?view=mail"))
    world.clock.at += 61
    world.write([], [replace(sent, at=world.clock.at, evidence={"mail_sha256": "0" * 64})])
    page = text_of(opened(world, language="fr").get(f"{ADDRESS}?view=mail"))
    assert "pas celle du courriel parti" in page


def test_a_program_gets_the_mail_that_is_made_again(world: World) -> None:
    """By its key, with a reason that is audited before; of another hospital it does not exist."""
    asked = {"reason": "call", "text": "le médecin a téléphoné", "mail": world.secrets[0]}
    world.audit.clear()
    mine, other = (world.program({finess: Role.OPERATOR}) for finess in (A, B))
    (part,) = mine.send(f"/api{ADDRESS}/content", asked).json()["parts"]
    assert part["again"] and b"Subject:" in base64.b64decode(part["data"])
    assert [one.detail for one in world.audit] == ["", "made-again"]
    problem(other.send(f"/api{ADDRESS}/content", asked), 404, "API-UNKNOWN")
    problem(mine.send(f"/api{ADDRESS}/content", {**asked, "mail": "f" * 32}), 404, "API-UNKNOWN")


def test_versions_of_a_document_are_linked_with_what_each_did(world: World) -> None:
    """The first, the replacement and the deletion, oldest first; another hospital's is left out."""
    answer = world.client("marie").get(ADDRESS)
    page = text_of(answer)
    part = page[page.index("Versions of this document") :]
    assert part.index("V1") < part.index("first version") < part.index("V2") < part.index("replaces the version before")
    assert part.index("V2") < part.index("V3") < part.index("deletes the document") and "this message" in part
    assert f'href="/messages/{"2" * 64}"' in answer.text and "V4" not in answer.text
    assert "V4" in world.client("jeanne").get(ADDRESS).text
    assert "remplace la version pr" in text_of(world.client("marie", language="fr").get(f"/messages/{'3' * 64}"))


def test_a_file_that_unpacks_to_too_much_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb is cut at its limit and answered as a part that is not there."""
    monkeypatch.setattr(mail_view, "MOST_BYTES", 1000)
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        archive.writestr("BOMB", b"0" * 1001)
    head = b"Content-Type: application/zip\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    with pytest.raises(ValueError, match="1"):
        mail_view.standing_at(head + packed.getvalue(), "1.1")
    with pytest.raises(Malformed):
        mail_view.part(b"Subject: x\r\n\r\ntext", "1")


def test_a_program_has_the_mail_and_the_versions_too(world: World) -> None:
    """With a reason, as one that was made again; versions of another hospital are left out."""
    client = world.program({A: Role.READER})
    story = client.get(f"/api{ADDRESS}").json()
    (mail,) = story["mails"]
    assert (mail["key"], mail["kept"], mail["leg"]["sink"]) == (world.secrets[0], False, SINK)
    assert [one["control_id"] for one in story["versions"]] == ["V1", "V2", "V3"]
    assert [one["here"] for one in story["versions"]] == [True, False, False]
    body = {"reason": "call", "text": "le médecin a téléphoné", "mail": mail["key"]}
    problem(client.send(f"/api{ADDRESS}/content", {**body, "text": ""}), 422, "API-REASON")
    (part,) = client.send(f"/api{ADDRESS}/content", body).json()["parts"]
    assert (part["again"], part["media_type"]) == (True, "message/rfc822")
    assert DOCTOR.encode() in base64.b64decode(part["data"])
    assert [one.reason[:5] for one in world.audit[-2:]] == ["call:", ""]
    problem(client.send(f"/api{ADDRESS}/content", {**body, "mail": "f" * 32}), 404, "API-UNKNOWN")
