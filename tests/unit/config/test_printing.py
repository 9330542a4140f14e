from __future__ import annotations

from prosr_lightning.config.printing import as_tree


def test_the_tree_is_a_text_in_a_notebook_too(monkeypatch):
    """There a console shows what it prints, whatever file it was given."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert as_tree({"depth": 4, "data": {"crop": None}}) == "config\n├── depth: 4\n└── data\n    └── crop: null\n"
