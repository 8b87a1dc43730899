"""`parse`: from an event's bytes to message, documents and request; always the first step, never written in YAML.

The request comes from the very function that the gateway checked with. What was accepted stays accepted: when an
option of the feed has changed since, what would now be a fault becomes a line of the story, and the guards of the
sinks decide at the moment of sending (decisions D2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from router.cisis import profile
from router.cisis.check_document import TypeCodes
from router.cisis.findings import Verdict
from router.cisis.settings import ProfileRules
from router.contracts import Header
from router.errors import Invalid
from router.exchange import Event, Exchange
from router.hl7.message import Message
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
    """

    def __init__(
        self,
        rules: Mapping[str, ProfileRules],
        valuesets: TypeCodes,
        *,
        documents: frozenset[str],
        config: ParseStep | None = None,
    ) -> None:
        self._rules = rules
        self._valuesets = valuesets
        self._documents = documents
        self._config = config or ParseStep()

    def __call__(self, exchange: Exchange) -> Exchange:
        """Raises `Malformed` when the bytes can't be read, `Invalid` when no request can be made of them."""
        event = exchange.event
        rules = self._rules.get(event.feed, ProfileRules(feed=event.feed))
        if event.headers.get(Header.KIND) == RAW_CDA:
            headers, document = unpack_request(event.body)
            status = event.headers.get(Header.INS_STATUS)  # the register's word at intake, when the request had none
            headers = {"ins-status": status, **headers} if status else headers
            return self._concluded(
                exchange, None, profile.check_cda(document, headers, rules, self._valuesets, keep=True)
            )
        message = Message.parse(event.body, charset_fallback=rules.charset_fallback or None, rejoin=rules.rejoin_base64)
        if event.feed not in self._documents:
            return exchange.with_(message=message)
        return self._concluded(exchange, message, profile.check(message, rules, self._valuesets, keep=True))

    def _concluded(self, exchange: Exchange, message: Message | None, verdict: Verdict) -> Exchange:
        if verdict.faults and (verdict.request is None or not self._tolerant(exchange.event)):
            first = verdict.faults[0]
            raise Invalid(first.rule, first.err.location, first.text)
        for fault in verdict.faults:
            exchange = exchange.decided(STEP, f"accepté sous d'autres options : {fault.text}", fault.rule)
        for warning in verdict.warnings:
            exchange = exchange.decided(STEP, warning.text, warning.rule)
        request = verdict.request
        if request is None:
            raise Invalid("R33", "OBX^1", "le message ne porte aucun document")
        if request.dmp_inadmissible is not None:
            rule, reason = request.dmp_inadmissible
            exchange = exchange.decided(STEP, f"volet DMP non tenté : {reason}", rule)
        return exchange.with_(message=message, request=request, documents=verdict.documents)

    def _tolerant(self, event: Event) -> bool:
        """Only what the gateway did check is kept."""
        return bool(event.headers.get(Header.CHECKED)) and self._config.changed_options == "keep"
