"""`python -m hadoken` is the command `hadoken`."""

from __future__ import annotations

from hadoken.cli.main import main

if __name__ == "__main__":
    main()
