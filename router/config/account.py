"""Who gives a command: what the journal writes beside it, and what a right is granted to."""

from __future__ import annotations

import os
import pwd


def account() -> str:
    """The account that gives the command: the process's own, not what a variable says; behind `sudo`, the person's."""
    behind = os.environ.get("SUDO_USER", "")
    if behind and os.getuid() == 0:
        return behind
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's number without a name
        return f"uid {os.getuid()}"
