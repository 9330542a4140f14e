"""Run `python -m prosr_lightning.benchmark`."""

from prosr_lightning.benchmark import main

if __name__ == "__main__":
    raise SystemExit(main())
