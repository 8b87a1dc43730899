"""What was just read of a mail stays for the parts of the same page, and no longer."""

from __future__ import annotations

from router.console import mail_shelf
from router.console.mail_shelf import Sent, Shelf


def test_an_old_mail_goes_at_the_next_look_and_by_itself() -> None:
    """Whoever asks for another one a minute later makes it go; so does the minute when nobody asks."""
    shelf = Shelf()
    shelf.put("s", "one", 0.0, Sent(data=b"1"))
    assert shelf.get("s", "one", 59.0) is not None
    assert shelf.get("s", "two", 60.0) is None and not shelf._found
    shelf.put("s", "one", 60.0, Sent(data=b"1"))
    sweeping = shelf._sweeping
    assert sweeping is not None and sweeping.daemon and sweeping.interval == 60.0
    sweeping.cancel()
    sweeping.function()
    assert not shelf._found


def test_unpacked_files_of_a_mail_are_bounded_by_their_bytes() -> None:
    """The newest ones stay; one that is too large alone is not kept."""
    sent, third = Sent(data=b"x"), bytes(mail_shelf._PARTS_BYTES // 3)
    for place in ("1.1", "1.2", "1.3", "1.4"):
        sent.keep(place, third)
    assert list(sent.parts) == ["1.2", "1.3", "1.4"]
    sent.keep("1.5", bytes(mail_shelf._PARTS_BYTES + 1))
    assert list(sent.parts) == ["1.2", "1.3", "1.4"]
