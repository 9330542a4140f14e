"""Run `python -m prosr_lightning.release`."""

from prosr_lightning.release import main

if __name__ == "__main__":
    raise SystemExit(main())
