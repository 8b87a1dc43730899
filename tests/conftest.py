"""What every test shares: the repository's root on the path, so that `tests.examples` can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
