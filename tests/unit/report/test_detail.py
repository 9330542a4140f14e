from __future__ import annotations

import pytest

from prosr_lightning.errors import DataError
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.report import parse_words, run
from prosr_lightning.report.tables import build_table
from prosr_lightning.runs.scored import read_runs
from prosr_lightning.runs.scores import ImageScore, RunInfo, write_results
from prosr_lightning.tables import render


@pytest.fixture
def runs(tmp_path):
    for method, ratio in (("ProSRN", 0.10), ("ProSRGAN", 0.45)):
        images = [
            ImageScore(
                dataset="Set14",
                scale=4,
                image=name,
                psnr_db=27.0,
                ssim=0.7,
                perceptual={"high_frequency": ratio + extra},
            )
            for name, extra in (("a", 0.0), ("b", 0.1))
        ]
        write_results(tmp_path / method, images, RunInfo(method=method, protocol=PAPER))
    plain = [ImageScore(dataset="Set14", scale=4, image="a", psnr_db=26.0, ssim=0.6)]
    write_results(tmp_path / "bicubic", plain, RunInfo(method="bicubic", protocol=PAPER))
    return tmp_path


def test_the_mean_of_each_measure_stands_beside_its_run(runs):
    text = render(build_table("detail", read_runs([str(runs / "ProSRN"), str(runs / "ProSRGAN")])))
    assert "| Set14 | 4 | ProSRN | 0.1500 |" in text
    assert "| Set14 | 4 | ProSRGAN | 0.5000 |" in text
    assert "1 is best" in text


def test_table_5_brings_the_measures_along(runs):
    words = [f"runs=[{runs / 'ProSRGAN'},{runs / 'bicubic'}]", "table=5"]
    text = run(parse_words(words))
    assert "SRGAN-VGG54" in text
    assert "0.5000" in text


def test_runs_without_measures_are_refused_with_the_remedy(runs):
    with pytest.raises(DataError, match=r"perceptual=\[gmsd,high_frequency\]"):
        build_table("detail", read_runs([str(runs / "bicubic")]))
