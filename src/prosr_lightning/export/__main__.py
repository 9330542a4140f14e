"""Run `python -m prosr_lightning.export`."""

import sys

from prosr_lightning.export import main

if __name__ == "__main__":
    sys.exit(main())
