"""The command `python -m prosr_lightning.reproduce`; it lives in `sweep/reproduce.py`."""

from prosr_lightning.sweep.reproduce import main

if __name__ == "__main__":
    raise SystemExit(main())
