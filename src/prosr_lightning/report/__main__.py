"""Run `python -m prosr_lightning.report`."""

from prosr_lightning.report import main

if __name__ == "__main__":
    raise SystemExit(main())
