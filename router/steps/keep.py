"""`keep`: end the exchange here unless a condition holds."""

from __future__ import annotations

from collections.abc import Callable

from router.exchange import Exchange, Filtered
from router.steps.step_type import StepType


class Keep:
    """Filters what does not match `condition`; `source` is the expression, shown as the reason."""

    def __init__(self, condition: Callable[[Exchange], bool], source: str) -> None:
        self._condition = condition
        self._source = source

    def __call__(self, exchange: Exchange) -> Exchange | Filtered:
        return exchange if self._condition(exchange) else Filtered(f"keep: {self._source}", "KEEP")


KEEP = StepType(
    name="keep",
    model=str,
    description="End here unless this CEL condition holds.",
    build=lambda expression, tools: Keep(tools.condition(expression), expression),
    condition=True,
)
