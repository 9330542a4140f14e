"""A sweep as one page of HTML that needs nothing else: `report sweep=DIR` is its command."""

from __future__ import annotations

from prosr_lightning.report.page.writing import write_page

__all__ = ["write_page"]
