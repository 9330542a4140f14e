"""The command `python -m prosr_lightning.illustrate`; it lives in `evaluate/illustrate.py`."""

import sys

from prosr_lightning.evaluate.illustrate import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
