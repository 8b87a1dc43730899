"""`set`: write fixed texts into fields of a relayed message (what most channels of an EAI do)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, RootModel

from router.errors import Invalid
from router.exchange import Exchange
from router.steps.step_type import StepType

_Path = Annotated[str, AfterValidator(lambda path: path.strip())]


class SetFieldsStep(RootModel[dict[_Path, str]]):
    """Field address -> text, e.g. `{MSH-4: CHU, MSH-6: DPI}`. For relay feeds: a document's request is never edited."""

    root: dict[_Path, str] = Field(min_length=1)


class SetFields:
    """Returns the exchange with its message rewritten; every other byte stays as received."""

    def __init__(self, config: SetFieldsStep) -> None:
        self._changes = tuple(config.root.items())

    def __call__(self, exchange: Exchange) -> Exchange:
        """Raises `Invalid` for an event that is not HL7, or that carries a document request."""
        if exchange.message is None or exchange.request is not None:
            raise Invalid("STEP-SET", "", "only a relayed HL7 message can be rewritten")
        message = exchange.message
        for path, text in self._changes:
            message = message.with_text(path, text)
        return exchange.with_(message=message, body=message.to_bytes())


SET = StepType(
    name="set",
    model=SetFieldsStep,
    description="Write fixed texts into fields of a relayed message.",
    addresses=lambda config: config.root,
    build=lambda config, _tools: SetFields(config),
)
