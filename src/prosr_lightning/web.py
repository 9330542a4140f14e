"""The command `python -m prosr_lightning.web`; it lives in `upscale/web.py`."""

import sys

from prosr_lightning.upscale.web import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
