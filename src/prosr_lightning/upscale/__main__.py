"""Run `python -m prosr_lightning.upscale`."""

import sys

from prosr_lightning.upscale import main

if __name__ == "__main__":
    sys.exit(main())
