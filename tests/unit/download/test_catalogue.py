from __future__ import annotations

import re

import pytest

from prosr_lightning.download.catalogue import ANY_IMAGE, DATASETS, Files

# What the archives of the world look like inside: the EDSR authors' tar and the SelfExSR repository.
_INSIDE = {
    "set5": ("benchmark/Set5/HR/baby.png", "SelfExSR-master/data/Set5/image_SRF_2/img_001_SRF_2_HR.png"),
    "set14": ("benchmark/Set14/HR/baboon.png", "SelfExSR-master/data/Set14/image_SRF_2/img_001_SRF_2_HR.png"),
    "bsds100": ("benchmark/B100/HR/101085.png", "SelfExSR-master/data/BSD100/image_SRF_2/img_001_SRF_2_HR.png"),
    "urban100": ("benchmark/Urban100/HR/img001.png", "SelfExSR-master/data/Urban100/image_SRF_4/img_001_SRF_4_HR.png"),
    "div2k": ("DIV2K_train_HR/0001.png",),
    "div2k_unknown_x2": ("DIV2K_train_LR_unknown/X2/0001x2.png",),
    "div2k_unknown_x4": ("DIV2K_train_LR_unknown/X4/0001x4.png",),
    "div2k_mild": ("DIV2K_train_LR_mild/0001x4m.png",),
}
_OTHERS = (
    "benchmark/Set5/LR_bicubic/X2/babyx2.png",
    "SelfExSR-master/data/Urban100/image_SRF_2/img_001_SRF_2_HR.png",
    "SelfExSR-master/data/Set5/image_SRF_2/img_001_SRF_2_LR.png",
    "SelfExSR-master/data/Set5/image_SRF_3/img_001_SRF_3_HR.png",
)


@pytest.mark.parametrize("name", _INSIDE)
def test_the_catalogue_picks_the_right_members(name: str) -> None:
    every = [inside for insides in _INSIDE.values() for inside in insides] + list(_OTHERS)
    *own, last = DATASETS[name].parts[0].members
    picked = {inside for pattern in own for inside in every if re.search(pattern, inside)}
    assert picked == set(_INSIDE[name])
    assert last == ANY_IMAGE


def test_the_catalogue_has_the_published_counts() -> None:
    counts = {part.folder: part.count for dataset in DATASETS.values() for part in dataset.parts}
    assert counts.pop("DIV2K/DIV2K_train_HR") == 800
    assert counts.pop("DIV2K/DIV2K_valid_HR") == 100
    for track in ("unknown_X2", "unknown_X4", "mild"):
        assert counts.pop(f"DIV2K/DIV2K_train_LR_{track}") == 800
        assert counts.pop(f"DIV2K/DIV2K_valid_LR_{track}") == 100
    assert counts == {"Set5": 5, "Set14": 14, "BSDS100": 100, "Urban100": 100, "Kodak24": 24, "Manga109": 109}
    for dataset in DATASETS.values():
        assert dataset.terms
        assert all(part.sources for part in dataset.parts) == (dataset.by_hand is None)
        for source in (source for part in dataset.parts for source in part.sources):
            if isinstance(source, Files):
                assert len(set(source.items(dataset.parts[0].count))) == dataset.parts[0].count
            elif source.sha256 is not None:
                assert re.fullmatch("[0-9a-f]{64}", source.sha256)
    assert DATASETS["urban100"].parts[0].sources[0].items(100)[7] == (
        "img_008.png",
        "https://raw.githubusercontent.com/jbhuang0604/SelfExSR/master/data/Urban100/image_SRF_4/img_008_SRF_4_HR.png",
    )
