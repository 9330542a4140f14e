"""Run `python -m prosr_lightning.evaluate`."""

from prosr_lightning.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main())
