"""Properties of the reader, the writer, the escapes and the base64 normaliser, on generated inputs."""

from __future__ import annotations

import base64 as standard

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import Malformed
from router.hl7 import base64, write
from router.hl7.header import DEFAULT, Separators, Unreadable
from router.hl7.message import Message
from router.hl7.text import BLANKS, escape, unescape
from tests.examples import example

HEAD = "MSH|^~\\&|A|B|C|D|20260101||ORU^R01^ORU_R01|1|P|2.5|||||FRA|UNICODE UTF-8\r"
any_text = st.text(st.characters(exclude_categories=["Cs"]))
values = any_text.filter(lambda value: value == value.strip(BLANKS) and value != '""' and "\x00" not in value)
GLUES = [
    "\\.br\\",
    "\\X0D0A\\",
    "\\X000d\\",
    "\\X00D\\",
    "\\x0a\\",
    "\\XD\\",
    "\\X0D\\\\X0A\\",
    "\\.sp1\\",
    "\\X00\\",
    "~",
    " ",
]
separator_sets = st.permutations("|^~\\&#$%*@˜¦").map(lambda order: Separators(*(c.encode() for c in order[:5])))


@given(any_text, separator_sets)
def test_unescape_undoes_escape(value: str, separators: Separators) -> None:
    """Whatever the separators, a value comes back as it was."""
    assert unescape(escape(value, separators), separators) == value


@given(any_text, separator_sets)
def test_escaped_values_hold_no_structure(value: str, separators: Separators) -> None:
    """No separator but the escape character, and no control character, survives `escape`."""
    field, component, repetition, _, subcomponent, _ = separators.texts("utf-8")
    written = escape(value, separators)
    assert not set(written) & {field, component, repetition, subcomponent}
    assert not any(ord(character) < 0x20 or ord(character) == 0x7F for character in written)


@given(any_text)
def test_unescape_never_fails(text: str) -> None:
    """Any text with escape characters anywhere gives a text."""
    assert isinstance(unescape(text, DEFAULT, "iso8859-15"), str)


@given(values, st.integers(1, 40), st.integers(1, 4), st.integers(1, 12), st.integers(1, 3))
def test_what_is_written_is_read(value: str, field: int, repetition: int, component: int, sub: int) -> None:
    """`with_text` then `text` at any address gives the value back, and the other segments untouched."""
    message = Message.parse((HEAD + "PID|1||x^y~z\rOBX|1|a\r").encode())
    path = f"PID-{field}[{repetition}].{component}.{sub}"
    changed = message.with_text(path, value)
    assert changed.text(path) == value
    assert Message.parse(changed.to_bytes()).text(path) == value
    assert changed.text("OBX-2") == "a" and bytes(changed.raw("MSH-9")) == b"ORU^R01^ORU_R01"


@given(st.lists(st.lists(st.tuples(values, values), min_size=1, max_size=3), min_size=1, max_size=6))
def test_the_writer_is_read_back(fields: list[list[tuple[str, str]]]) -> None:
    """Repetitions and components built by the writer come back from the reader."""
    values_of: list[write.Value] = [[*field] for field in fields]
    line = write.segment("ZZZ", *values_of)
    message = Message.parse(HEAD.encode() + write.message([line]))
    for number, field in enumerate(fields, 1):
        for rank, (one, two) in enumerate(field, 1):
            assert message.text(f"ZZZ-{number}[{rank}].1") == one
            assert message.text(f"ZZZ-{number}[{rank}].2") == two


@given(st.binary(min_size=1), st.integers(1, 76), st.sampled_from(GLUES))
def test_E04_base64_in_any_dress(document: bytes, width: int, glue: str) -> None:
    """Line breaks, escapes, repetitions and missing padding change nothing of the bytes."""
    clean = standard.b64encode(document).decode().rstrip("=")
    dressed = glue.join(clean[at : at + width] for at in range(0, len(clean), width)).encode()
    assert base64.decode(dressed) == document
    assert base64.decode(memoryview(standard.b64encode(document))) == document
    obx = Message.parse((HEAD + "OBX|1|ED|||^TEXT^XML^Base64^").encode() + dressed + b"||||||F\r").segments("OBX")[0]
    assert base64.decode_obx(obx) == document and obx.text("11") == "F"


@given(st.binary())
def test_base64_is_strict(field: bytes) -> None:
    """Whatever the bytes, either all of them are base64 and decode to themselves again, or R34 is raised."""
    try:
        decoded = base64.decode(field, place="OBX^1^5^1^5")
    except Malformed as fault:
        assert (fault.code, fault.place) == ("R34", "OBX^1^5^1^5")
        return
    text = base64.normalise(field)
    padded = text + b"=" * (-len(text) % 4)
    assert decoded == standard.b64decode(padded, validate=True)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """The reader raises `Unreadable` or gives the same bytes back; nothing else."""
    for whole in (data, HEAD.encode() + data):
        try:
            message = Message.parse(whole)
        except Unreadable:
            Message.glimpse(whole)
            continue
        assert message.to_bytes() == whole
        for segment in message:
            assert [one.texts("1") for one in message.segments(segment.name)]


@pytest.mark.parametrize(
    "name", ["oru-init-n3.hl7", "mdm-init-n1.hl7", "mdm-replace-n1.hl7", "mdm-init-placeholder.hl7"]
)
def test_the_reader_agrees_with_hl7(name: str) -> None:
    """Every field, repetition and component is what the library `hl7` finds."""
    data = example(name)
    oracle = hl7.parse(data.decode().replace("\n", "\r"))
    message = Message.parse(data)
    assert list(message.names) == [str(segment[0]) for segment in oracle]
    for ours, theirs in zip(message, oracle, strict=True):
        first = 3 if ours.name == "MSH" else 1
        for number in range(first, len(theirs)):
            assert bytes(ours.raw(str(number))).decode() == str(theirs[number])
            if ours.repetitions(number) and not isinstance(theirs[number][0], str):
                for rank, component in enumerate(theirs[number][0], 1):
                    assert bytes(ours.field(number).raw(rank)).decode() == str(component)
