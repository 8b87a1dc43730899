"""The parts of the YAML models that the sink types say: built from `router.sinks.registry` when the process starts.

Type checkers see the base classes; the keys of a type are read by its own code, by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Union

from pydantic import ConfigDict, Field, create_model

from router.contracts.sink_type import SinkSettings, SinkType
from router.sinks.registry import SINK_TYPES, carrying_messages
from router.strict import Strict
from router.structures import StructureConfig

INSTANCE: Final = rf"^({'|'.join(SINK_TYPES)})\.[a-z0-9][a-z0-9-]{{0,40}}$"
"""Names of sinks: `<type>.<instance>`."""
BY_STRUCTURE: Final = tuple(one.name for one in SINK_TYPES.values() if one.structure)
"""Types whose instance the structure of the sender names."""


class _Structure(StructureConfig):
    model_config = ConfigDict(extra="forbid")


class _SinkUse(Strict):
    """How a pipeline uses a sink."""

    when: str | None = Field(None, description="CEL condition; what it leaves out is told to the sender.")


class _Expectation(Strict):
    """What an example must reach."""

    ack: str = Field("AA", pattern="^A[AE]$", description="The gateway's answer.")
    fault: str | None = Field(None, description="The rule that refuses it, e.g. `R45`.")


def _options() -> dict[str, Any]:
    """Keys that one type alone takes."""
    options = (one.options for one in SINK_TYPES.values() if one.options is not None)
    return {name: (info.annotation, info) for model in options for name, info in model.model_fields.items()}


def owners_of(key: str) -> list[str]:
    """The types that take this key of a pipeline's `sinks` entry; none when every type does."""
    if key == "strict_order":  # the order of messages: documents have a rule of their own (decisions D1)
        return carrying_messages()
    return [one.name for one in SINK_TYPES.values() if one.options is not None and key in one.options.model_fields]


_EXPECTED: Final = {
    "outcome": (str | None, "`delivered`, or the code with which this leg is refused."),
    "recipients": (list[str] | None, "Recipients that are served."),
    "instances": (list[str] | None, "Sinks that get the message."),
}


def _expected(kind: SinkType) -> Any:
    annotation, sentence = _EXPECTED[kind.expects]
    return annotation, Field(None, description=kind.expectation or sentence)


def _expectations(carries: str) -> dict[str, Any]:
    return {one.name: _expected(one) for one in SINK_TYPES.values() if one.carries == carries}


if TYPE_CHECKING:
    SinkConfig = SinkSettings
    SiteStructure = StructureConfig

    class SinkUse(_SinkUse):
        """See `_SinkUse`."""

        strict_order: bool

    class Expectation(_Expectation):
        """See `_Expectation`."""

        refused: list[str] | None
        filtered: bool
else:
    SinkConfig = Annotated[Union[*(one.settings for one in SINK_TYPES.values())], Field(discriminator="type")]
    SiteStructure = create_model(
        "StructureConfig",
        __base__=_Structure,
        __doc__=StructureConfig.__doc__,
        **{name: (str, Field("", description=SINK_TYPES[name].structure)) for name in BY_STRUCTURE},
    )
    SinkUse = create_model(
        "SinkUse",
        __base__=_SinkUse,
        __doc__=_SinkUse.__doc__,
        **_options(),
        strict_order=(bool, Field(False, description="hl7: after a dead letter, park what follows in the lane.")),
    )
    Expectation = create_model(
        "Expectation",
        __base__=_Expectation,
        __doc__=_Expectation.__doc__,
        **_expectations("documents"),
        refused=(
            list[str] | None,
            Field(None, description="Codes of the recipients that are refused, e.g. `MSS-510`."),
        ),
        **_expectations("message"),
        filtered=(bool, Field(False, description="The pipeline ends it on purpose.")),
    )
