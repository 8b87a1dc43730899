"""`parse`: from an event's bytes to message, documents and request; always the first step, never written in YAML.

The request is the one that the gateway found, when it travelled with the event and the options are still the same;
else it comes from the very function that the gateway checked with. What was accepted stays accepted: when an option
of the feed has changed since, what would now be a fault becomes a line of the story, and the guards of the sinks
decide at the moment of sending (decisions D2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from router.cisis import profile
from router.cisis.check_document import TypeCodes
from router.cisis.findings import Verdict
from router.cisis.settings import ProfileRules
from router.cisis.verdict_codec import VerdictCodec
from router.contracts import Header
from router.errors import Invalid
from router.exchange import Event, Exchange
from router.hl7.message import Message
from router.language import filled
from router.payload import unpack_request
from router.strict import Strict

STEP = "parse"
RAW_CDA = "cda"
"""Value of the header `kind` for a CDA that came without HL7."""


class ParseStep(Strict):
    """How a pipeline reads what the gateway accepted."""

    changed_options: Literal["keep", "refuse"] = Field(
        "keep",
        description="An accepted message that today's options would refuse: keep it, or send it to the dead letters.",
    )


class Parse:
    """Reads one event.

    rules:     options of every feed, by its name
    documents: names of the feeds that the national profile applies to; the others' messages are only read
    codecs:    what unpacks the verdicts that travel with the events of these feeds, by the feed's name
    """

    def __init__(
        self,
        rules: Mapping[str, ProfileRules],
        valuesets: TypeCodes,
        *,
        documents: frozenset[str],
        codecs: Mapping[str, VerdictCodec] | None = None,
        config: ParseStep | None = None,
    ) -> None:
        self._rules = rules
        self._codecs = codecs or {}
        self._valuesets = valuesets
        self._documents = documents
        self._config = config or ParseStep()

    def __call__(self, exchange: Exchange) -> Exchange:
        """Raises `Malformed` when the bytes can't be read, `Invalid` when no request can be made of them."""
        event = exchange.event
        rules = self._rules.get(event.feed, ProfileRules(feed=event.feed))
        rules = rules.speaking_for(list(filter(None, event.headers.get(Header.STRUCTURES, "").split(","))))
        received = event.headers.get(Header.RECEIVED)
        at = float(received) if received else None
        if event.headers.get(Header.KIND) == RAW_CDA:
            headers, document = unpack_request(event.body)
            if (codec := self._codec(event)) and (verdict := codec.of_document(event.verdict, document)):
                return _accepted(exchange, None, verdict)
            headers = {name: value for name, value in headers.items() if name.lower() != "ins-status"}
            if status := event.headers.get(Header.INS_STATUS):  # what the gateway believed: the register, or the sender
                headers["ins-status"] = status
            return self._concluded(
                exchange, None, profile.check_cda(document, headers, rules, self._valuesets, keep=True, at=at)
            )
        message = Message.parse(event.body, charset_fallback=rules.charset_fallback or None, rejoin=rules.rejoin_base64)
        if event.feed not in self._documents:
            return exchange.with_(message=message)
        if (codec := self._codec(event)) and (verdict := codec.of_message(event.verdict, message)):
            return _accepted(exchange, message, verdict)
        return self._concluded(exchange, message, profile.check(message, rules, self._valuesets, keep=True, at=at))

    def _codec(self, event: Event) -> VerdictCodec | None:
        """What reads this event's verdict. An event that a person sends through again is decided from its bytes."""
        return self._codecs.get(event.feed) if event.verdict and Header.COMMAND not in event.headers else None

    def _concluded(self, exchange: Exchange, message: Message | None, verdict: Verdict) -> Exchange:
        if verdict.faults and (verdict.request is None or not self._tolerant(exchange.event)):
            first = verdict.faults[0]
            raise Invalid(first.rule, first.err.location, first.text)
        for fault in verdict.faults:
            exchange = exchange.decided(
                STEP, filled("accepté sous d'autres options : {text}", text=fault.text), fault.rule
            )
        return _accepted(exchange, message, verdict)

    def _tolerant(self, event: Event) -> bool:
        """Only what the gateway did check is kept."""
        return bool(event.headers.get(Header.CHECKED)) and self._config.changed_options == "keep"


def _accepted(exchange: Exchange, message: Message | None, verdict: Verdict) -> Exchange:
    """The exchange with what the message asks. Raises `Invalid` when it asks nothing."""
    if verdict.request is None:
        raise Invalid("R33", "OBX^1", "le message ne porte aucun document")
    for warning in verdict.warnings:
        exchange = exchange.decided(STEP, warning.text, warning.rule)
    if verdict.request.dmp_inadmissible is not None:
        rule, reason = verdict.request.dmp_inadmissible
        exchange = exchange.decided(STEP, filled("volet DMP non tenté : {reason}", reason=reason), rule)
    return exchange.with_(message=message, request=verdict.request, documents=verdict.documents)
