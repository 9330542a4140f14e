"""What can be downloaded: addresses, checksums, counts and terms. Facts only, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One zip or tar file that holds the images, usually among other things.

    Args:
        url: Its address.
        sha256: The checksum, if somebody published one.
    """

    url: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Files:
    """Images that are served one by one.

    Args:
        url: The address, with `{number:03d}` or the like where the image's number stands.
        name: The file name an image gets, with the same field.
        count: Numbers run from 1 to this.
    """

    url: str
    name: str
    count: int

    def items(self) -> list[tuple[str, str]]:
        """Give `(name, url)` of every image."""
        numbers = range(1, self.count + 1)
        return [(self.name.format(number=number), self.url.format(number=number)) for number in numbers]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One folder of images below the data directory.

    Args:
        folder: Its path below the data directory, with forward slashes.
        count: How many images it must hold.
        sources: Where to get it, tried in this order.
        members: Patterns of an archive's wanted members, tried in this order until one matches something; the groups
            `stem` and `suffix` make the name of the file.
        long_side: What the longer side of the largest image must at least measure, in pixels.
    """

    folder: str
    count: int
    sources: tuple[Archive | Files, ...]
    members: tuple[str, ...]
    long_side: int | None = None

    @property
    def leaf(self) -> str:
        """The last word of `folder`."""
        return self.folder.rsplit("/", maxsplit=1)[-1]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set under the name a user types.

    Args:
        name: What the user types.
        title: What people call it.
        parts: Its folders.
        terms: Origin and terms of use, told at download time.
        by_hand: What to do where it may not be fetched by a program; None where it may.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    terms: str
    by_hand: str | None = None


# Any image of an archive packed by somebody else; macOS' "._" twins and other hidden files are left out.
ANY_IMAGE = r"(?:^|/)(?P<stem>[^/.][^/]*)(?P<suffix>\.(?:png|jpe?g|bmp|tiff?|webp))$"

_SELFEXSR = "https://raw.githubusercontent.com/jbhuang0604/SelfExSR/master/data"
_SELFEXSR_ARCHIVE = Archive(url="https://github.com/jbhuang0604/SelfExSR/archive/refs/heads/master.zip")  # all of it
_EDSR_ARCHIVE = Archive(url="https://cv.snu.ac.kr/research/EDSR/benchmark.tar")  # the EDSR authors' copy, 250 MB


def _div2k(folder: str, count: int, sha256: str) -> Part:
    hosts = ("https://data.vision.ee.ethz.ch", "http://data.vision.ee.ethz.ch")
    return Part(
        folder=f"DIV2K/{folder}",
        count=count,
        sources=tuple(Archive(url=f"{host}/cvl/DIV2K/{folder}.zip", sha256=sha256) for host in hosts),
        members=(rf"(?:^|/){folder}/(?P<stem>\d{{4}})(?P<suffix>\.png)$", ANY_IMAGE),
    )


def _benchmark(title: str, count: int, *, selfexsr: str, srf: int, edsr: str, long_side: int | None = None) -> Part:
    """Describe a test set by its folder in the SelfExSR repository and in the EDSR authors' archive."""
    inside = f"{selfexsr}/image_SRF_{srf}"
    return Part(
        folder=title,
        count=count,
        sources=(
            Files(
                url=f"{_SELFEXSR}/{inside}/img_{{number:03d}}_SRF_{srf}_HR.png",
                name="img_{number:03d}.png",
                count=count,
            ),
            _EDSR_ARCHIVE,
            _SELFEXSR_ARCHIVE,
        ),
        members=(
            rf"(?:^|/){inside}/(?P<stem>img_\d{{3}})_SRF_{srf}_HR(?P<suffix>\.png)$",
            rf"(?:^|/){edsr}/HR/(?P<stem>[^/.][^/]*)(?P<suffix>\.png)$",
            ANY_IMAGE,
        ),
        long_side=long_side,
    )


_BENCHMARK_TERMS = "No licence is stated with the images; they are customary for research, not for redistribution."

_MANGA109_STEPS = """\
Manga109 is given out by its authors on request, so it cannot be fetched by a program:
  1. Open http://www.manga109.org and, under Download, ask for the data set. You get an address and a password.
  2. Take the 109 pictures of the super-resolution test set, one for each volume, ARMS.png and so on.
  3. Put them directly into {folder}, 109 image files and nothing else.
  4. Run this command again, it checks the folder. Or give a zip or tar with these 109 images by --archive FILE."""

_DATASETS = (
    Dataset(
        name="div2k",
        title="DIV2K",
        # sha256: published by TensorFlow Datasets, tensorflow_datasets/datasets/div2k/checksums.tsv
        parts=(
            _div2k("DIV2K_train_HR", 800, "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335"),
            _div2k("DIV2K_valid_HR", 100, "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc"),
        ),
        terms="DIV2K (Agustsson and Timofte, NTIRE 2017): for academic research only; the images keep their authors' "
        "copyright. https://data.vision.ee.ethz.ch/cvl/DIV2K/",
    ),
    Dataset(
        name="set5",
        title="Set5",
        parts=(_benchmark("Set5", 5, selfexsr="Set5", srf=2, edsr="Set5"),),
        terms=f"Set5 (Bevilacqua et al., BMVC 2012), as in jbhuang0604/SelfExSR. {_BENCHMARK_TERMS}",
    ),
    Dataset(
        name="set14",
        title="Set14",
        parts=(_benchmark("Set14", 14, selfexsr="Set14", srf=2, edsr="Set14"),),
        terms=f"Set14 (Zeyde et al., 2010), as in jbhuang0604/SelfExSR. {_BENCHMARK_TERMS}",
    ),
    Dataset(
        name="bsds100",
        title="BSDS100",
        parts=(_benchmark("BSDS100", 100, selfexsr="BSD100", srf=2, edsr="B100"),),
        terms="BSDS100, the test images of BSDS300 (Martin et al., ICCV 2001), as in jbhuang0604/SelfExSR: "
        "for non-commercial research and education.",
    ),
    Dataset(
        name="urban100",
        title="Urban100",
        # The SRF_2 files are the pictures halved (long side 512); the standard Urban100 is SRF_4 (long side 1024).
        parts=(_benchmark("Urban100", 100, selfexsr="Urban100", srf=4, edsr="Urban100", long_side=1000),),
        terms=f"Urban100 (Huang et al., CVPR 2015), from jbhuang0604/SelfExSR. {_BENCHMARK_TERMS}",
    ),
    Dataset(
        name="kodak24",
        title="Kodak24",
        parts=(
            Part(
                folder="Kodak24",
                count=24,
                sources=(
                    Files(
                        url="https://r0k.us/graphics/kodak/kodak/kodim{number:02d}.png",
                        name="kodim{number:02d}.png",
                        count=24,
                    ),
                    Files(
                        url="http://r0k.us/graphics/kodak/kodak/kodim{number:02d}.png",
                        name="kodim{number:02d}.png",
                        count=24,
                    ),
                ),
                members=(r"(?:^|/)(?P<stem>kodim\d{2})(?P<suffix>\.png)$", ANY_IMAGE),
            ),
        ),
        terms="Kodak Lossless True Color Image Suite: released by Eastman Kodak for unrestricted use.",
    ),
    Dataset(
        name="manga109",
        title="Manga109",
        parts=(Part(folder="Manga109", count=109, sources=(), members=(ANY_IMAGE,)),),
        terms="Manga109 (Matsui et al., 2017): academic use only, redistribution forbidden. http://www.manga109.org",
        by_hand=_MANGA109_STEPS,
    ),
)

DATASETS: Mapping[str, Dataset] = MappingProxyType({dataset.name: dataset for dataset in _DATASETS})
