"""Which hadoken this is; for those below the front door, which names it too."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
