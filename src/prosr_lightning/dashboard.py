"""The command `python -m prosr_lightning.dashboard`; it lives in `tracking/dashboard.py`."""

from prosr_lightning.tracking.dashboard import main

if __name__ == "__main__":
    raise SystemExit(main())
