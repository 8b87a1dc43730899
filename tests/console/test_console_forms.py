"""A form that is refused keeps what was typed, and says each fault at its field."""

from __future__ import annotations

from tests.console.console_world import EVENT_A, A, World, text_of, token
from tests.console.sink_worker import dead


def test_the_opening_of_a_content_keeps_what_was_typed(world: World) -> None:
    """Both faults at once, the length said before, and the reason still chosen."""
    world.fill()
    client = world.client("marie")
    page = client.get(f"/messages/{EVENT_A}?view=hl7")
    assert "Ten characters or more." in text_of(page)
    form = {"_token": token(page), "view": "hl7", "reason": "", "text": "trop <co"}
    refused = client.post(f"/messages/{EVENT_A}/open", form)
    assert 'id="e-reason"' in refused.text and 'id="e-text"' in refused.text
    assert ">trop &lt;co</textarea>" in refused.text
    refused = client.post(f"/messages/{EVENT_A}/open", form | {"reason": "call"})
    assert '<option value="call" selected>' in refused.text and 'id="e-reason"' not in refused.text


def test_the_reason_of_an_order_stays_when_it_is_refused(world: World) -> None:
    """A wrong number is told, and the reason has not to be typed again."""
    made = dead(world, 2, sink="mssante.a", structure=A)
    client = world.client("marie")
    first = {"_token": token(client.get("/search")), "act": "discard", "delivery": made}
    there = client.post("/orders", first).headers["location"]
    form = {"_token": first["_token"], "do": "confirm", "reason": "vu avec le laboratoire", "count": "9"}
    refused = client.post(there, form)
    assert refused.status_code == 422 and ">vu avec le laboratoire</textarea>" in refused.text
