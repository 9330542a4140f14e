"""Run `python -m prosr_lightning.benchmark`."""

import sys

from prosr_lightning.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
