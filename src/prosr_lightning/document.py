"""The command `python -m prosr_lightning.document`; it lives in `release/document.py`."""

import sys

from prosr_lightning.release.document import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
