"""Settings of the audit and of the traces, as the site file gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from router.strict import Strict


class CollectorConfig(Strict):
    """The hospital's audit record repository (IHE ATNA): syslog of RFC 5424 over TLS, framed as RFC 5425 says."""

    host: str
    port: int = Field(6514, ge=1, le=65535)
    ca: Path | None = Field(None, description="Authority of its certificate; default: those of the system.")
    certificate: Path | None = Field(None, description="Our certificate, when the collector asks for one.")
    key: Path | None = Field(None, description="Its key; default: it stands in the file of the certificate.")
    source: str = Field("segur-router", description="AuditSourceID of our messages: which system of the hospital.")
    site: str = Field("", description="AuditEnterpriseSiteID of our messages: which hospital.")
    patients: Literal["pseudonym", "none"] = Field(
        "pseudonym",
        description="How messages about exchanges name the patient: by the keyed pseudonym that `search` knows, or not "
        "at all. Never by an identity (decisions D17).",
    )
    timeout: float = Field(10, gt=0, description="Seconds to connect, and to hand over one message.")


class AuditConfig(Strict):
    """Who saw or did what, and the traces of exchanges."""

    days: float = Field(1095, ge=180, description="How long the rows of the audit are kept.")
    traces_days: float = Field(183, ge=30, description="How long the traces of exchanges are kept (mssante §11).")
    anchor: Path | None = Field(
        None,
        description="File that remembers how far the audit reached, so that a cut end is found; best on a disk that "
        "those who can write the database can't write. Default: `audit-head.json` in `data`.",
    )
    collector: CollectorConfig | None = Field(None, description="Where audit messages go too; default: nowhere.")
