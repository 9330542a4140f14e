"""Run `python -m prosr_lightning.train`."""

from prosr_lightning.train import main

if __name__ == "__main__":
    raise SystemExit(main())
