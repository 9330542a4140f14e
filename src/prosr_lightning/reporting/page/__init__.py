"""A sweep as one page of HTML that needs nothing else: `report.py sweep=DIR` is its command."""

from __future__ import annotations

from prosr_lightning.reporting.page.writing import write_page

__all__ = ["write_page"]
