"""Run `python -m prosr_lightning.release`."""

import sys

from prosr_lightning.release import main

if __name__ == "__main__":
    sys.exit(main())
