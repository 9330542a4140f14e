"""The command `python -m prosr_lightning.web`; it lives in `upscale/web.py`."""

from prosr_lightning.upscale.web import main

if __name__ == "__main__":
    raise SystemExit(main())
