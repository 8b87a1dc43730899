"""A process that records rows one after the other and prints the mark of each: `writer URL ANCHOR NAME`."""

from __future__ import annotations

import sys
from pathlib import Path

from router.audit.event import Action, AuditEvent
from router.audit.trail import AuditTrail
from router.contracts import SystemClock

if __name__ == "__main__":
    url, anchor, name = sys.argv[1:]
    trail = AuditTrail(url, SystemClock(), secret=b"a secret of a site", anchor=Path(anchor))
    while True:
        row = trail.record(AuditEvent(at=1.0, who=name, action=Action.NOTED))
        print(row.mark, flush=True)
