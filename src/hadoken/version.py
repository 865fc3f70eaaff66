"""Which hadoken this is; for those below the front door, which names it too."""

from __future__ import annotations

__version__ = "0.1.0"  # the build reads this line by a pattern that knows no Final
