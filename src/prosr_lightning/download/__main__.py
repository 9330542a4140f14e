"""Run `python -m prosr_lightning.download`."""

import sys

from prosr_lightning.download import main

if __name__ == "__main__":
    sys.exit(main())
