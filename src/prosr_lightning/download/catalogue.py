"""What can be downloaded: addresses, checksums, counts and terms. Facts only, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from prosr_lightning.data.benchmarks import NUM_IMAGES
from prosr_lightning.data.sources import DIV2K_COUNTS


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
    """

    url: str
    name: str

    def items(self, count: int) -> list[tuple[str, str]]:
        """Give `(name, url)` of images 1 to `count`."""
        return [(self.name.format(number=number), self.url.format(number=number)) for number in range(1, count + 1)]


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
    """A data set.

    Args:
        title: What people call it.
        parts: Its folders.
        terms: Origin and terms of use, told at download time.
        by_hand: What to do where it may not be fetched by a program; None where it may.
    """

    title: str
    parts: tuple[Part, ...]
    terms: str
    by_hand: str | None = None

    @property
    def name(self) -> str:
        """What the user types."""
        return self.title.lower()


# Any image of an archive packed by somebody else; macOS' "._" twins and other hidden files are left out.
ANY_IMAGE = r"(?:^|/)(?P<stem>[^/.][^/]*)(?P<suffix>\.(?:png|jpe?g|bmp|tiff?|webp))$"

_SELFEXSR = "https://raw.githubusercontent.com/jbhuang0604/SelfExSR/master/data"
_SELFEXSR_ARCHIVE = Archive(url="https://github.com/jbhuang0604/SelfExSR/archive/refs/heads/master.zip")  # all of it
_EDSR_ARCHIVE = Archive(url="https://cv.snu.ac.kr/research/EDSR/benchmark.tar")  # the EDSR authors' copy, 250 MB


def _div2k(folder: str, sha256: str) -> Part:
    hosts = ("https://data.vision.ee.ethz.ch", "http://data.vision.ee.ethz.ch")
    return Part(
        folder=f"DIV2K/{folder}",
        count=DIV2K_COUNTS[folder],
        sources=tuple(Archive(url=f"{host}/cvl/DIV2K/{folder}.zip", sha256=sha256) for host in hosts),
        members=(rf"(?:^|/){folder}/(?P<stem>\d{{4}})(?P<suffix>\.png)$", ANY_IMAGE),
    )


def _benchmark(
    title: str, terms: str, *, selfexsr: str = "", edsr: str = "", srf: int = 2, long_side: int | None = None
) -> Dataset:
    """Describe a test set; `selfexsr` and `edsr` are its folders in their archives, where these are not its title."""
    inside = f"{selfexsr or title}/image_SRF_{srf}"
    images = Files(url=f"{_SELFEXSR}/{inside}/img_{{number:03d}}_SRF_{srf}_HR.png", name="img_{number:03d}.png")
    members = (
        rf"(?:^|/){inside}/(?P<stem>img_\d{{3}})_SRF_{srf}_HR(?P<suffix>\.png)$",
        rf"(?:^|/){edsr or title}/HR/(?P<stem>[^/.][^/]*)(?P<suffix>\.png)$",
        ANY_IMAGE,
    )
    sources = (images, _EDSR_ARCHIVE, _SELFEXSR_ARCHIVE)
    part = Part(folder=title, count=NUM_IMAGES[title], sources=sources, members=members, long_side=long_side)
    return Dataset(title=title, parts=(part,), terms=terms)


_BENCHMARK_TERMS = "No licence is stated with the images; they are customary for research, not for redistribution."

_MANGA109_STEPS = """\
Manga109 is given out by its authors on request, so it cannot be fetched by a program:
  1. Open http://www.manga109.org and, under Download, ask for the data set. You get an address and a password.
  2. Take the 109 pictures of the super-resolution test set, one for each volume, ARMS.png and so on.
  3. Put them directly into {folder}, 109 image files and nothing else.
  4. Run this command again, it checks the folder. Or give a zip or tar with these 109 images by --archive FILE."""

_DATASETS = (
    Dataset(
        title="DIV2K",
        # sha256: published by TensorFlow Datasets, tensorflow_datasets/datasets/div2k/checksums.tsv
        parts=(
            _div2k("DIV2K_train_HR", "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335"),
            _div2k("DIV2K_valid_HR", "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc"),
        ),
        terms="DIV2K (Agustsson and Timofte, NTIRE 2017): for academic research only; the images keep their authors' "
        "copyright. https://data.vision.ee.ethz.ch/cvl/DIV2K/",
    ),
    _benchmark("Set5", f"Set5 (Bevilacqua et al., BMVC 2012), as in jbhuang0604/SelfExSR. {_BENCHMARK_TERMS}"),
    _benchmark("Set14", f"Set14 (Zeyde et al., 2010), as in jbhuang0604/SelfExSR. {_BENCHMARK_TERMS}"),
    _benchmark(
        "BSDS100",
        "BSDS100, the test images of BSDS300 (Martin et al., ICCV 2001), as in jbhuang0604/SelfExSR: "
        "for non-commercial research and education.",
        selfexsr="BSD100",
        edsr="B100",
    ),
    # The SRF_2 files are the pictures halved (long side 512); the standard Urban100 is SRF_4 (long side 1024).
    _benchmark(
        "Urban100",
        f"Urban100 (Huang et al., CVPR 2015), from jbhuang0604/SelfExSR. {_BENCHMARK_TERMS}",
        srf=4,
        long_side=1000,
    ),
    Dataset(
        title="Kodak24",
        parts=(
            Part(
                folder="Kodak24",
                count=NUM_IMAGES["Kodak24"],
                sources=tuple(
                    Files(
                        url=f"{scheme}://r0k.us/graphics/kodak/kodak/kodim{{number:02d}}.png",
                        name="kodim{number:02d}.png",
                    )
                    for scheme in ("https", "http")
                ),
                members=(r"(?:^|/)(?P<stem>kodim\d{2})(?P<suffix>\.png)$", ANY_IMAGE),
            ),
        ),
        terms="Kodak Lossless True Color Image Suite: released by Eastman Kodak for unrestricted use.",
    ),
    Dataset(
        title="Manga109",
        parts=(Part(folder="Manga109", count=NUM_IMAGES["Manga109"], sources=(), members=(ANY_IMAGE,)),),
        terms="Manga109 (Matsui et al., 2017): academic use only, redistribution forbidden. http://www.manga109.org",
        by_hand=_MANGA109_STEPS,
    ),
)

DATASETS: Mapping[str, Dataset] = MappingProxyType({dataset.name: dataset for dataset in _DATASETS})
