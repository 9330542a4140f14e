"""The command `python -m prosr_lightning.illustrate`; it lives in `evaluate/illustrate.py`."""

from prosr_lightning.evaluate.illustrate import main

if __name__ == "__main__":
    raise SystemExit(main())
