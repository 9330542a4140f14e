from __future__ import annotations

from omegaconf import OmegaConf

from prosr_lightning.config.printing import as_tree


def test_the_tree_is_a_text_in_a_notebook_too(monkeypatch):
    """There a console shows what it prints, whatever file it was given."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    cfg = OmegaConf.create({"depth": 4, "data": {"crop": None}})
    assert as_tree(cfg) == "config\n├── depth: 4\n└── data\n    └── crop: null\n"
