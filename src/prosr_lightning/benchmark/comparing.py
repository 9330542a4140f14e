"""Two things measured in turns, so that their ratio means something on a machine that is busy with others too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

Task = Callable[[], float]
Rates = tuple[float, ...]  # one for each round


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The rate of one thing over that of another.

    Attributes:
        name: What is compared.
        unit: Of the rates, such as "GFLOP/s".
        measured: Rates of the first, one for each round.
        against: Rates of the second, in the same rounds.
        goal: The ratio wanted; None without.
    """

    name: str
    unit: str
    measured: tuple[float, ...]
    against: tuple[float, ...]
    goal: float | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each round."""
        return tuple(rate / other for rate, other in zip(self.measured, self.against, strict=True))

    @property
    def ratio(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.ratios)

    def to_dict(self) -> dict[str, object]:
        """Return plain values, the raw rates among them."""
        return asdict(self) | {"ratio": self.ratio, "lowest": min(self.ratios), "highest": max(self.ratios)}


@dataclass(kw_only=True)
class Section:
    """What one part of the benchmark came to.

    Attributes:
        name: "upscale", "train", "data" or "data_processes".
        settings: Sizes and counts that it was measured with.
        comparisons: In order.
        values: Single numbers that are no ratio, by name.
        skipped: Why something was not measured, by name.
    """

    name: str
    settings: Mapping[str, object]
    comparisons: list[Comparison] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, unit: str, measured: Rates, against: Rates, goal: float | None = None) -> None:
        """Add a comparison; see its class."""
        self.comparisons.append(Comparison(name=name, unit=unit, measured=measured, against=against, goal=goal))

    def to_dict(self) -> dict[str, object]:
        """Return plain values."""
        values = asdict(self) | {"comparisons": [comparison.to_dict() for comparison in self.comparisons]}
        return {key: value for key, value in values.items() if key != "name"}


def compare(
    tasks: Mapping[str, Task],
    *,
    rounds: int,
    before: Mapping[str, Callable[[], None]] | None = None,
    warm_up: bool = True,
) -> dict[str, tuple[float, ...]]:
    """Measure several things in turns.

    Args:
        tasks: By name; each does its work once and returns how much that was, in its unit.
        rounds: How often.
        before: What to do before each call of a task, outside of its time.
        warm_up: Call each task once before the rounds.

    Returns:
        Rates (amount for a second) of each task, one for each round.

    Examples:
        >>> rates = compare({"sleep": lambda: time.sleep(0.01) or 1.0}, rounds=2)
        >>> len(rates["sleep"]), rates["sleep"][0] < 100
        (2, True)
    """
    rates: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(-1 if warm_up else 0, rounds):
        for name, task in tasks.items():
            if before is not None and name in before:
                before[name]()
            begun = time.perf_counter()
            amount = task()
            seconds = time.perf_counter() - begun
            if number >= 0:
                rates[name].append(amount / seconds)
    return {name: tuple(values) for name, values in rates.items()}
