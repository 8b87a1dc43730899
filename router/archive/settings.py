"""What the site file says of the archive."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from router.contracts.keeping import Kind
from router.strict import Strict


class ArchiveConfig(Strict):
    """What left (mail, SOAP request and answer, ZAM) and what came back (DSN, MDN), sealed."""

    content_days: float = Field(30, gt=0, le=3660, description="How long contents are kept; then their proof stays.")
    proofs_years: float = Field(
        10,
        gt=0,
        le=100,
        description="How long proofs are kept: digest, size and time, and the receipts of deliveries.",
    )
    kinds: dict[Kind, float] = Field(
        default_factory=dict, description="Kind -> days of its content, when they differ from `content_days`; 0: none."
    )
    required: bool = Field(
        False,
        description="Nothing leaves that is not kept first: while the archive is away, deliveries wait. Default: they "
        "go on, and what could not be kept is counted; its digest stands in the receipt all the same.",
    )
    folder: Path | None = Field(
        None, description="Folder of the contents, one folder a day; default: `archive` in `data`. All machines see it."
    )

    def content_seconds(self, kind: Kind) -> float:
        """How long a content of this kind is kept; 0: not at all."""
        return self.kinds.get(kind, self.content_days) * 86_400.0

    @property
    def proof_seconds(self) -> float:
        return self.proofs_years * 365.25 * 86_400.0
