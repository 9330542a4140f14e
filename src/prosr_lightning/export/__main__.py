"""Run `python -m prosr_lightning.export`."""

from prosr_lightning.export import main

if __name__ == "__main__":
    raise SystemExit(main())
