"""The ER7 reader: addresses, separators, character sets, line ends, and what it refuses."""

from __future__ import annotations

import gc
import sys
import time
import weakref

import pytest

from router.errors import Invalid
from router.hl7.header import Unreadable
from router.hl7.message import Message
from tests.examples import example

MSH = "MSH|^~\\&|LAB|HOSP&1.2.3&ISO|PFI|DEST|20260101||ORU^R01^ORU_R01|C1|P|2.5|||||FRA|UNICODE UTF-8"
PID = "PID|||279035121518989^^^A&1.2.250.1.213.1.4.8&ISO^INS~42^^^CHU&1.2.3&ISO^PI||O\\T\\Brien^Zoé^^^^^L|"


def made(*lines: str, end: str = "\r", codec: str = "utf-8") -> bytes:
    return "".join(line + end for line in (MSH, *lines)).encode(codec)


def test_addresses_reach_every_level() -> None:
    """Occurrence, key, repetition, component and sub-component each select what the grammar says."""
    message = Message.parse(made(PID, "OBX|1|CE|DESTDMP||Y", "OBX|2|CE|MASQUE_PS||N", "ZFA|||||||||OUI"))
    assert message.text("PID-3[INS].1") == "279035121518989"
    assert message.text("PID-3[2].4.2") == "1.2.3"
    assert message.text("PID-3[PI].1") == "42"
    assert message.text("PID-3.4.2") == "1.2.250.1.213.1.4.8"
    assert message.text("OBX[2]-3.1") == "MASQUE_PS"
    assert message.text("OBX[DESTDMP]-5.1") == "Y"
    assert message.text("ZFA-9.1") == "OUI"
    assert message.texts("OBX[*]-3.1") == ["DESTDMP", "MASQUE_PS"]
    assert message.texts("PID-3.1") == ["279035121518989", "42"]
    assert message.texts("PID-3[PI].1") == ["42"]


def test_absent_things_are_empty() -> None:
    """A missing segment, field, repetition, component or the HL7 null reads as an empty text."""
    message = Message.parse(made(PID, 'PV1|1|""'))
    for path in ("ZZZ-1", "PID-99", "PID-3[5].1", "PID-3[NH].1", "PID-5.20", "PID-3.4.9", "PV1-2", "OBX[DESTDMP]-5"):
        assert message.text(path) == "", path
    assert message.texts("ZZZ[*]-1") == [] == message.texts("PID-4")
    assert bytes(message.raw("PV1-2")) == b'""'
    assert not message.raw("PID-99")


def test_segments_keep_order_and_duplicates() -> None:
    """Segments come in the message's order, numbered within their name and within the message, from 1."""
    message = Message.parse(made(PID, "NTE|1", "OBX|1", "NTE|2"))
    assert message.names == ("MSH", "PID", "NTE", "OBX", "NTE")
    assert [(one.name, one.index, one.position) for one in message.segments("NTE")] == [("NTE", 1, 3), ("NTE", 2, 5)]
    assert [one.text("1") for one in message] == ["|", "", "1", "1", "2"]


def test_repetitions_of_a_segment() -> None:
    """A segment gives its repetitions as objects, and none for an empty field."""
    pid = Message.parse(made(PID)).segments("PID")[0]
    assert [(one.number, one.text(5), one.text("4.2")) for one in pid.repetitions(3)] == [
        (1, "INS", "1.2.250.1.213.1.4.8"),
        (2, "PI", "1.2.3"),
    ]
    assert pid.repetitions(4) == []
    assert not pid.field(4) and pid.field(3).text() == "279035121518989"
    assert len(pid) == 6


def test_msh_fields_are_numbered_from_the_separator() -> None:
    """MSH-1 is the field separator, MSH-2 the encoding characters, undivided."""
    message = Message.parse(made())
    assert (message.text("MSH-1"), message.text("MSH-2"), message.text("MSH-3")) == ("|", "^~\\&", "LAB")
    assert (message.code, message.event, message.control_id, message.version) == ("ORU", "R01", "C1", "2.5")


def test_raw_is_never_a_copy() -> None:
    """`raw` looks into the very bytes that were received."""
    data = made("OBX|1|ED|||^TEXT^XML^Base64^" + "QUJD" * 1000)
    view = Message.parse(data).raw("OBX-5.5")
    assert view.obj is data and len(view) == 4000


def test_nothing_of_the_content_is_printed() -> None:
    """The repr of a message and of its parts shows sizes and names of segments only."""
    message = Message.parse(made(PID))
    shown = f"{message!r} {message.segments()!r} {message.segments('PID')[0].repetitions(3)!r}"
    assert "279035" not in shown and "Brien" not in shown


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_E11_bom_line_ends_and_blank_lines(end: str) -> None:
    """BOM, LF or CRLF and trailing blank lines are read like the standard's CR, and given back as received."""
    data = b"\xef\xbb\xbf" + made(PID, "OBX|1", end=end) + end.encode() * 3 + b"  "
    message = Message.parse(data)
    assert message.names == ("MSH", "PID", "OBX")
    assert message.text("MSH-18") == "UNICODE UTF-8"
    assert message.to_bytes() == data


def test_E08_utf8_declared_but_latin_bytes() -> None:
    """UTF-8 declared, Latin-9 bytes: R10, AE 102 at MSH-18; accepted only when the feed names a fall-back."""
    data = made(PID, codec="iso8859-15")
    with pytest.raises(Unreadable) as caught:
        Message.parse(data)
    assert (caught.value.code, caught.value.condition, caught.value.place) == ("R10", "102", "MSH^1^18")
    message = Message.parse(data, charset_fallback="iso8859-15")
    assert message.text("PID-5.2") == "Zoé" and message.fell_back


def test_E08_latin_declared_but_utf8_bytes() -> None:
    """8859/15 declared, UTF-8 bytes: readable, and the message says that it looks misdeclared."""
    data = made(PID).replace(b"UNICODE UTF-8", b"8859/15")
    assert Message.parse(data).misdeclared
    assert not Message.parse(made(PID, codec="iso8859-15").replace(b"UNICODE UTF-8", b"8859/15")).misdeclared


def test_E09_real_latin9_bytes() -> None:
    """8859/15 with its own bytes for œ and € reads right."""
    data = made("PID|||||Lefœbvre^5€").replace(b"UNICODE UTF-8", b"8859/15")
    data = data.decode().encode("iso8859-15")
    message = Message.parse(data)
    assert (message.text("PID-5.1"), message.text("PID-5.2")) == ("Lefœbvre", "5€")


def test_E10_unknown_charset() -> None:
    """An unknown MSH-18 is R10, AE 103 at MSH-18."""
    with pytest.raises(Unreadable) as caught:
        Message.parse(made(PID).replace(b"UNICODE UTF-8", b"KOI8"))
    assert (caught.value.code, caught.value.condition, caught.value.place) == ("R10", "103", "MSH^1^18")


@pytest.mark.parametrize(("codec", "charset"), [("utf-8", ""), ("iso8859-15", ""), ("utf-8", "ASCII")])
def test_undeclared_charset_is_found(codec: str, charset: str) -> None:
    """Empty or ASCII in MSH-18: UTF-8 when the bytes are, else 8859/15."""
    data = made(PID, codec=codec).replace(b"UNICODE UTF-8", charset.encode())
    assert Message.parse(data).text("PID-5.2") == "Zoé"


@pytest.mark.parametrize("characters", ["^˜\\&", "$%*@", "^~\\&#"])
def test_E42_declared_separators(characters: str) -> None:
    """Whatever MSH-2 declares is used: a two-byte character, unusual ones, a fifth one."""
    component, repetition, escape, sub = list(characters[:4])
    lines = [
        f"MSH|{characters}|LAB|H|PFI|D|20260101||ORU{component}R01{component}ORU_R01|C1|P|2.5|||||FRA|UNICODE UTF-8",
        f"PID|||1{component * 3}A{sub}1.2{sub}ISO{component}INS{repetition}2{component * 4}PI||A{escape}T{escape}B",
    ]
    message = Message.parse("\r".join(lines).encode())
    assert message.event == "R01"
    assert message.text("PID-3[PI].1") == "2"
    assert message.text("PID-3.4.2") == "1.2"
    assert message.text("PID-5") == f"A{sub}B"


def test_E42_a_wide_separator_in_a_message_that_is_not_utf8() -> None:
    """Separators are read in the very character set of the message: what is no single character there is refused."""
    latin = made("PID|||||Zoé").decode().encode("iso8859-15").replace(b"UNICODE UTF-8", b"")
    assert Message.parse(latin).text("PID-5") == "Zoé"
    with pytest.raises(Unreadable):
        Message.parse(latin.replace(b"^~", b"^\xcb\x9c", 1))
    seen = Message.glimpse(latin.replace(b"^~", b"^\xcb\x9c", 1))
    assert seen is not None and seen.control_id == "C1"


def test_E42_another_field_separator() -> None:
    """MSH-1 may be any character, even one of two bytes."""
    for mark in ("#", "¦"):
        data = made(PID).decode().replace("|", mark).encode()
        message = Message.parse(data)
        assert message.text("MSH-1") == mark and message.text("PID-3[PI].1") == "42"


def test_E03_base64_broken_by_line_ends() -> None:
    """Raw line ends inside OBX-5.5: R01 at that OBX (AE 100), or glued again when the feed asks for it."""
    lines = ["OBX|1|ED|X^Y^LN||^TEXT^XML^Base64^QUJD", "REVG", "R0hJ||||||F", "OBX|2|CE|DESTDMP||Y"]
    with pytest.raises(Unreadable) as caught:
        Message.parse(made(PID, *lines, end="\r\n"))
    assert (caught.value.code, caught.value.condition, caught.value.place) == ("R01", "100", "OBX^1")
    message = Message.parse(made(PID, *lines, end="\r\n"), rejoin=True)
    assert bytes(message.raw("OBX-5.5")) == b"QUJDREVGR0hJ"
    assert message.text("OBX-11") == "F" and message.text("OBX[2]-5") == "Y"


def test_E41_unknown_segments_and_trailing_separators() -> None:
    """Z segments, NTE anywhere, extra fields and trailing separators are read and kept."""
    data = made("ZZ1|a|b", PID + "|||||x" + "|" * 40, "NTE|1||n", "PD1|", "OBX|1||||||")
    message = Message.parse(data)
    assert message.names == ("MSH", "ZZ1", "PID", "NTE", "PD1", "OBX") and message.to_bytes() == data


def test_E43_escapes_are_decoded_once() -> None:
    r"""`\T\`, `\XC3A9\`, `\F\` and a doubly escaped text: one decoding, no more."""
    message = Message.parse(made("PID|||||O\\T\\Brien^Ren\\XC3A9\\^a\\F\\b^\\E\\T\\E\\^\\XC3\\\\XA9\\^a\\b"))
    assert [message.text(f"PID-5.{n}") for n in range(1, 7)] == ["O&Brien", "René", "a|b", "\\T\\", "é", "a\\b"]


def test_E46_line_ends_in_an_address_are_seen() -> None:
    r"""`\X0D0A\` in PRT-15.4 is decoded, so that the address is refused for what it is; rewriting escapes it again."""
    message = Message.parse(made("PRT||UC||RCT|||||||||||^^X.400^a@b.fr\\X0D0A\\Bcc:c@d.fr"))
    assert message.text("PRT-15.4") == "a@b.fr\r\nBcc:c@d.fr"
    assert b"\n" not in message.with_text("PRT-15.4", message.text("PRT-15.4")).to_bytes()


def test_components_are_trimmed_of_blanks_and_nbsp() -> None:
    """Blanks and NBSP around a component are not part of the value."""
    assert Message.parse(made("PRT||UC||SB\u00a0\u00a0^ x |")).text("PRT-4.1") == "SB"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"MSH",
        b"MSH|",
        b"PID|1\rMSH|^~\\&",
        b"hello",
        b"MSH|^^\\&|a|b|c|d|e||ORU^R01|1|P|2.5\r",
        b"MSH|^~|a|b|c|d|e||ORU^R01|1|P|2.5\r",
        b"MSHA^~\\&AaAbAcAdAeAAORU^R01A1APA2.5\r",
        b"MSH|^~\\&|a|b|c\r",
        made(PID) + b"\x0b",
        made(PID, "a line that is no segment"),
        made("pid|1"),
    ],
)
def test_E44_what_is_no_message(data: bytes) -> None:
    """Anything that is not one MSH with distinct separators and twelve fields, then segments, is R01 (AE 100)."""
    with pytest.raises(Unreadable) as caught:
        Message.parse(data)
    assert (caught.value.code, caught.value.condition) == ("R01", "100")


def test_E47_batches_are_refused() -> None:
    """FHS and BHS are answered AE 200."""
    for head in (b"FHS|^~\\&|a\r", b"BHS|^~\\&|a\r"):
        with pytest.raises(Unreadable) as caught:
            Message.parse(head + made(PID))
        assert caught.value.condition == "200"


@pytest.mark.parametrize(
    ("line", "place", "words"),
    [
        ("NTE|1||ligne un\nligne deux", "NTE^1", ("LF", "NTE")),
        ("NTE|1||ligne un\r\nligne deux", "NTE^1", ("CR LF", "NTE")),
        ("OBX|1|TX|||un\rdeux", "OBX^1", ("CR", "OBX")),
        ("OBX|1|ED|||^TEXT^XML^Base64^QUJD\nQUJD||||||F", "OBX^1", ("base64",)),
        ("OBX|1|ED|||^TEXT^XML^Base64^QUJD||||||F\nsigné : Dr X", "OBX^1", ("LF", "OBX")),
    ],
)
def test_E03_a_cut_line_is_explained_by_what_was_cut(line: str, place: str, words: tuple[str, ...]) -> None:
    """AE 100 names the segment and the line end; base64 is blamed where base64 goes on, and nowhere else."""
    with pytest.raises(Unreadable) as caught:
        Message.parse(made(PID, line))
    assert (caught.value.condition, caught.value.place) == ("100", place)
    assert all(word in caught.value.text for word in words)
    assert ("base64" in caught.value.text) is ("base64" in words)


@pytest.mark.parametrize("written", ["DU\\X00\\RAND", "DU\\X0000\\RAND", "DU\x00RAND", "\x00DURAND", "DURAND\\X00\\ "])
def test_no_text_holds_a_nul(written: str) -> None:
    """Raw or escaped, NUL is left out of every text and noted; the bytes stay."""
    data = made(f"PID|||1||{written}^ZOE")
    message = Message.parse(data)
    assert message.text("PID-5.1") == "DURAND" == message.segments("PID")[0].repetitions(5)[0].text(1)
    assert message.holds_nul and message.to_bytes() == data
    assert not Message.parse(made(PID, "NTE|1||\\X2000AB\\ \\X41\\ X00")).text("NTE-3").count("\x00")
    assert not Message.parse(made(PID, "NTE|1||\\X0A\\ X00")).holds_nul


def test_a_nul_is_looked_for_in_no_time() -> None:
    """A megabyte of zeros behind an escape character costs what its bytes cost."""
    message = Message.parse(made(PID, "NTE|1||\\X" + "00" * 500_000))
    begun = time.perf_counter()
    assert not message.holds_nul and time.perf_counter() - begun < 1


def test_two_messages_in_one_are_refused() -> None:
    """A second MSH would be lost in silence: AE 198."""
    with pytest.raises(Unreadable) as caught:
        Message.parse(made(PID) + made(PID))
    assert (caught.value.condition, caught.value.place) == ("198", "MSH^2")


def test_a_million_blank_lines_are_refused_quickly() -> None:
    """Lines beyond any message's need end in a refusal, not in memory."""
    with pytest.raises(Unreadable):
        Message.parse(made(PID) + b"\r" * 1_000_000)


def test_glimpse_reads_what_can_be_answered() -> None:
    """A message that can't be parsed still gives its control id, when it has an MSH at all."""
    glimpsed = Message.glimpse(made(PID).replace(b"UNICODE UTF-8", b"KOI8"))
    assert glimpsed is not None and glimpsed.control_id == "C1"
    short = Message.glimpse(b"MSH|^~\\&|A|B\r")
    assert short is not None and short.text("MSH-3") == "A"
    assert Message.glimpse(b"hello") is None is Message.glimpse(b"")


def test_with_text_changes_nothing_else() -> None:
    """One value is replaced, escaped; every other byte stays, BOM and line ends included."""
    data = b"\xef\xbb\xbf" + made(PID, "OBX|1|ED|||^TEXT^XML^Base64^QUJD||||||F|", end="\r\n") + b"\r\n"
    changed = Message.parse(data).with_text("MSH-4", "CH|U")
    assert changed.to_bytes() == data.replace(b"HOSP&1.2.3&ISO", b"CH\\F\\U", 1)
    assert changed.text("MSH-4") == "CH|U"
    assert changed.text("OBX-5.5") == "QUJD" and changed.text("PID-3[PI].1") == "42"


def test_with_text_adds_what_is_missing() -> None:
    """Fields, repetitions, components and sub-components that are not there are added; a segment is not."""
    message = Message.parse(made(PID, "OBX|1"))
    message = message.with_text("PID-3[INS].4.2", "9").with_text("PID-3[3].5", "NH").with_text("OBX-5.2", "x")
    assert message.text("PID-3[INS].4.2") == "9" and message.text("PID-3[NH].5") == "NH"
    assert bytes(message.raw("OBX-5")) == b"^x" and message.to_bytes().endswith(b"OBX|1||||^x\r")
    for path in ("ZZZ-1", "PID-3[AN].1", "OBX[7]-1"):
        with pytest.raises(Invalid):
            message.with_text(path, "x")


def test_with_text_on_every_segment() -> None:
    """`SEG[*]` replaces in all of them."""
    message = Message.parse(made("OBX|1|a", "OBX|2|a", "OBX|3")).with_text("OBX[*]-2", "long value")
    assert message.texts("OBX[*]-2") == ["long value"] * 3 and message.texts("OBX[*]-1") == ["1", "2", "3"]


def test_with_text_never_alters_a_value_in_silence() -> None:
    """A character that the character set lacks is a fault, not a question mark."""
    message = Message.parse(made(PID).replace(b"UNICODE UTF-8", b"8859/15").decode().encode("iso8859-15"))
    with pytest.raises(Invalid):
        message.with_text("PID-5.1", "Ωmega")


def test_with_text_recodes_when_the_charset_changes() -> None:
    """MSH-18 and the bytes change together."""
    message = Message.parse(made(PID)).with_text("MSH-18", "8859/15")
    assert message.text("PID-5.2") == "Zoé" and "Zoé".encode("iso8859-15") in message.to_bytes()


@pytest.mark.parametrize("path", ["", "PID", "PID3", "pid-3", "PID-0", "PID-3[0]", "PID-3.", "PID-3.1.1.1", "PID[]-3"])
def test_a_wrong_address_is_a_mistake_of_the_writer(path: str) -> None:
    """An address that has not the form of one raises ValueError, whatever the message."""
    with pytest.raises(ValueError):
        Message.parse(made(PID)).text(path)


def test_the_national_biology_example() -> None:
    """The 293 KB example reads whole: recipients, metadata, document."""
    message = Message.parse(example("oru-init-n3.hl7"))
    assert message.texts("PRT[*]-4.1") == ["SB", "RCT", "RCT", "REPLY"]
    assert message.text("PRT[RCT]-15.4").startswith("adam.hoda@")
    assert message.text("OBX[DESTMSSANTEPAT]-5.1") == "Y"
    assert len(message.raw("OBX-5.5")) > 290_000


def test_a_message_leaves_memory_with_its_last_reference() -> None:
    """Its segments don't know it: 20 MB would wait for the collector of cycles, and so would the next, and the next."""
    gc.collect()
    gc.disable()
    try:
        data = made(PID, "OBX|1|ED|||^^^Base64^" + "QUJD" * 1000)
        before = sys.getrefcount(data)
        message = Message.parse(data)
        assert message.text("PID-3[INS].1")
        assert message.segments("OBX")[0].repetitions(5)[0].raw(5)
        changed = message.with_text("MSH-6", "DPI")
        assert changed.text("MSH-6") == "DPI"
        kept = weakref.ref(message.segments("PID")[0]._encoded)
        del message, changed
        assert sys.getrefcount(data) == before
        assert kept() is None
    finally:
        gc.enable()
