"""How large a result is to be: by a factor, in pixels, to fit a frame or in megapixels."""

from __future__ import annotations

import math
import numbers
import reprlib
from dataclasses import dataclass

from prosr_lightning.errors import ConfigError

LONGEST_SIDE = 2**31 - 1  # of PNG and TIFF
LARGEST_SCALE = 16  # Sec. 3.1; a fifth pass would invent 1023 of 1024 pixels
_REACH = f"`scale` must be a number above 1 and at most {LARGEST_SCALE}"


@dataclass(frozen=True)
class Enlarged:
    """One way to say how large; a picture keeps its proportions unless both sides are named by `size`.

    Attributes:
        scale: Factor, above 1 and at most 16.
        width: Pixels; the height follows.
        height: Pixels; the width follows.
        fit: Width and height of a frame that the result touches from within.
        megapixels: Millions of pixels, as near as whole pixels come.
        size: Width and height of the result itself.

    Raises:
        ConfigError: If not exactly one of them is given, or it is not positive.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    fit: tuple[int, int] | None = None
    megapixels: float | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        chosen = {name: value for name, value in vars(self).items() if value is not None}
        if len(chosen) != 1:
            raise ConfigError(
                f"One of {', '.join(vars(self))} must say how large, got {' and '.join(chosen) or 'none'}; keep one."
            )
        ((name, value),) = chosen.items()
        whole = name not in ("scale", "megapixels")
        sides = value if isinstance(value, tuple) else (value,)
        kinds = numbers.Integral if whole else numbers.Real
        fitting = all(isinstance(side, kinds) and not isinstance(side, bool) for side in sides)
        if not fitting or len(sides) != (2 if name in ("fit", "size") else 1):
            kind = "two whole numbers" if name in ("fit", "size") else "a whole number" if whole else "a number"
            raise ConfigError(f"`{name}` must be {kind}, got {value!r}; leave the quotes and fractions out.")
        if self.scale is not None and not 1 < self.scale <= LARGEST_SCALE:
            raise ConfigError(f"{_REACH}, got {reprlib.repr(value)}; choose one in between.")
        most = LONGEST_SIDE if whole else LONGEST_SIDE**2 / 1e6
        if not all(0 < side <= most for side in sides):
            raise ConfigError(
                f"`{name}` must be above 0 and at most {most:.10g}, got {reprlib.repr(value)}; choose another."
            )

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the result for a picture of that width and height.

        Raises:
            ConfigError: If it would shrink the picture, leave it as it is, or enlarge it by more than 16.
        """
        result = self._wanted(width, height)
        name = f"{width}x{height} to {result[0]}x{result[1]}"
        if result[0] < width or result[1] < height:
            raise ConfigError(
                f"The result must be larger than the picture, got {name}; a network does not shrink: use any other "
                "program for that."
            )
        if result == (width, height):
            raise ConfigError(f"The result must be larger than the picture, got {name}; leave the picture as it is.")
        if max(result[0] / width, result[1] / height) > LARGEST_SCALE:
            raise ConfigError(f"The result must be at most {LARGEST_SCALE} times the picture, got {name}; choose less.")
        return result

    def _wanted(self, width: int, height: int) -> tuple[int, int]:
        if self.size is not None:
            return self.size
        if self.width is not None:
            return self.width, _scaled(height, self.width / width)
        if self.height is not None:
            return _scaled(width, self.height / height), self.height
        if self.fit is not None:
            factor = min(self.fit[0] / width, self.fit[1] / height)
        elif self.megapixels is not None:
            factor = math.sqrt(self.megapixels * 1e6 / (width * height))
        else:
            assert self.scale is not None
            factor = self.scale
        return _scaled(width, factor), _scaled(height, factor)

    @property
    def suffix(self) -> str:
        """What is put after the names of results: `_x4`, `_x1.5`, `_w1920`, `_h1080`, `_1920x1080`, `_24mp`."""
        if self.width is not None:
            return f"_w{self.width}"
        if self.height is not None:
            return f"_h{self.height}"
        frame = self.fit or self.size
        if frame is not None:
            return f"_{frame[0]}x{frame[1]}"
        return f"_{self.megapixels:g}mp" if self.megapixels is not None else f"_x{self.scale:g}"


def _scaled(side: int, factor: float) -> int:
    return max(math.floor(side * factor + 0.5), 1)
