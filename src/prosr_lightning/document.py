"""The command `python -m prosr_lightning.document`; it lives in `release/document.py`."""

from prosr_lightning.release.document import main

if __name__ == "__main__":
    raise SystemExit(main())
