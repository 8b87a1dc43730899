"""Long texts of base64 are taken out and put back where they were, whatever lies around them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.cda.light import Light

BITS = st.sampled_from(
    [
        b"<a>",
        b"</a>",
        b"<b x='>'/>",
        b"\xc3\xa9",
        b"&amp;",
        b" " * 5000,
        b"A" * 4095,
        b"QUJD" * 1024,
        b"QUJD\n" * 2000,
        b"<",
    ]
)


@given(st.lists(BITS, max_size=12))
def test_what_is_taken_out_is_put_back(bits: list[bytes]) -> None:
    data = b"".join(bits)
    light = Light.of(data)
    assert b"".join(light.whole(light.data)) == data


def test_only_long_base64_between_two_tags_is_taken_out() -> None:
    text = b"QUJD" * 2000
    assert len(Light.of(b"<a>" + text + b"</a>").data) < 200
    for kept in (
        b"<a b='" + text + b"'/>",
        b"<a>" + text,
        text,
        b"<a>" + text + b"\xe9</a>",
        b"<a>" + b" " * 9000 + b"</a>",
    ):
        assert Light.of(kept).data == kept


def test_a_text_of_many_steps_is_looked_at_as_a_whole() -> None:
    """Wherever a line ends, or a foreign byte stands; blanks alone are no base64. The document may be a view."""
    long = b"QUJD" * 60_000
    lines = b"".join(long[at : at + 76] + b"\n" for at in range(0, len(long), 76))
    for text in (long, lines, long + b"QQ==", b" " * 100_000 + long):
        data = b"<a>" + text + b"</a><b/>"
        light = Light.of(memoryview(data))
        assert len(light.data) < 200
        assert b"".join(light.whole(light.data)) == data
    for text in (long + b"\xe9", long + b"&amp;" + long, b" " * 200_000):
        data = b"<a>" + text + b"</a>"
        assert Light.of(memoryview(data)).data == data
