"""What the site file says of encryption. The master key is named there, never held."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from router.secret import Secret
from router.strict import Strict


class MasterKey(Strict):
    """Where a master key is: exactly one of `env`, `file` and `command`."""

    env: str | None = Field(None, description="Environment variable that holds it: 32 bytes, hexadecimal or base64.")
    file: Path | None = Field(None, description="File that holds it (a mounted Kubernetes secret), in the same forms.")
    command: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Command of a PKCS#11 module or a KMS, which never hands the key out: it is called with one more "
        "word, `wrap` or `unwrap`, gets base64 on its standard input and answers base64.",
    )
    name: str = Field(
        "", pattern=r"^[A-Za-z0-9._:-]{0,60}$", description="With `command`: what this key and its version are called."
    )
    timeout: float = Field(10, gt=0, le=60, description="With `command`: seconds that one call may take.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(place is not None for place in (self.env, self.file, self.command)) != 1:
            raise ValueError("give exactly one of `env`, `file` and `command`")
        if (self.command is None) is bool(self.name):
            raise ValueError("`name` and `command` belong together")
        return self

    @property
    def secret(self) -> Secret:
        """Where its bytes are; not for a `command`."""
        return Secret(env=self.env, file=self.file)


class EncryptionConfig(Strict):
    """Seal what stands on the disk: the records of the bus, and the archive."""

    master_key: MasterKey = Field(description="Wraps the data keys that are made from now on.")
    earlier: dict[str, MasterKey] = Field(
        default_factory=dict,
        description="Any name -> a master key that only reads, while `segur-router keys rotate` replaces it.",
    )
    bus: bool = Field(True, description="Seal new records of the bus; false: write them in clear, read both.")
