"""Secrets are named in a configuration, never held: an environment variable, or a mounted file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from router.errors import OperatorFault
from router.strict import Strict


class Secret(Strict):
    """Where a secret is: exactly one of `env` and `file`."""

    env: str | None = Field(None, description="Environment variable that holds it.")
    file: Path | None = Field(None, description="File that holds it (a mounted Kubernetes secret).")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("give either `env` or `file`")
        return self

    def read(self) -> str:
        """The secret, read again each time so that a rotated one is used. Raises `OperatorFault` when absent."""
        if self.env is not None:
            value = os.environ.get(self.env, "")
            if not value:
                raise OperatorFault("SECRET", self.env, "environment variable is not set")
            return value
        assert self.file is not None  # noqa: S101  # `_one` has seen to it
        try:
            return self.file.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            raise OperatorFault("SECRET", str(self.file), "file holds bytes that are no text (UTF-8)") from None
        except OSError as error:
            raise OperatorFault("SECRET", str(self.file), "file can't be read") from error
