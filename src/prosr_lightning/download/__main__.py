"""Run `python -m prosr_lightning.download`."""

from prosr_lightning.download import main

if __name__ == "__main__":
    raise SystemExit(main())
