"""`validate`: check an accepted document again, more narrowly than the gateway did. It can only refuse, never admit."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from router.cda.document import Document
from router.cda.xml import PLACE
from router.cisis.check_document import SchemaCheck
from router.cisis.rules import TABLE
from router.errors import Invalid, OperatorFault
from router.exchange import Exchange
from router.language import N_, filled
from router.request import Action
from router.steps.step_type import StepType
from router.strict import Strict

STEP = "validate"
_SCHEMA_RULE = "R36"
NO_SCHEMA: Final = N_("the site file names no CDA schema, and validate wants it")


class ValidateStep(Strict):
    """`validate: {profile: cisis, schema: warn}`"""

    profile: Literal["cisis"] = Field("cisis", description="The national profile; the gateway has applied it already.")
    schema_: Literal["off", "warn", "error"] = Field(
        "off",
        alias="schema",
        description="Check the CDA against the schema of the site: not at all, note it, or refuse (R36).",
    )
    refuse: tuple[str, ...] = Field(
        (), description="Rules whose warnings refuse the message in this pipeline, e.g. `[R53, R90]`."
    )

    @field_validator("refuse")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(value) - set(TABLE))
        if unknown:
            raise ValueError(filled("no such rule: {names}", names=", ".join(unknown)))
        return value


class Validate:
    """Refuses what the pipeline does not want. A deletion is never refused for its form (decisions D1)."""

    def __init__(self, config: ValidateStep, schema: SchemaCheck | None = None) -> None:
        """Raises `OperatorFault` when the schema is to be checked and the site has none."""
        if config.schema_ != "off" and schema is None:
            raise OperatorFault("SITE-SCHEMA", "validate", NO_SCHEMA)
        self._config = config
        self._schema = schema

    def __call__(self, exchange: Exchange) -> Exchange:
        """Raises `Invalid` with the rule's number."""
        request = exchange.asked()
        deletion = request.action is Action.DELETE
        for warning in request.warnings:
            rule, _, text = warning.partition(": ")
            if rule in self._config.refuse and not deletion:
                raise Invalid(rule, "", text)
        if self._schema is None or self._config.schema_ == "off":
            return exchange
        for document in exchange.documents:
            text = self._invalid(document, self._schema)
            if not text:
                continue
            if self._config.schema_ == "error" and not deletion:
                raise Invalid(_SCHEMA_RULE, PLACE, text)
            exchange = exchange.decided(STEP, text, _SCHEMA_RULE)
        return exchange

    @staticmethod
    def _invalid(document: Document, schema: SchemaCheck) -> str:
        """What is not valid, "" when all is; whatever the gate's own mode."""
        try:
            return " ; ".join(schema.check(document))
        except Invalid as fault:
            return fault.text


VALIDATE = StepType(
    name="validate",
    model=ValidateStep,
    description="Check again, more narrowly.",
    needs=lambda config: {"cda_schema": NO_SCHEMA} if config.schema_ != "off" else {},
    build=lambda config, tools: Validate(config, tools.schema),
)
