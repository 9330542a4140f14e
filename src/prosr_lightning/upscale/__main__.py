"""Run `python -m prosr_lightning.upscale`."""

from prosr_lightning.upscale import main

if __name__ == "__main__":
    raise SystemExit(main())
