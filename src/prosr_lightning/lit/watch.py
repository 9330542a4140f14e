"""Watch the balance of a GAN: a discriminator that wins or loses for long teaches the generator nothing."""

from __future__ import annotations

import logging

from torch import Tensor

from prosr_lightning.errors import ConfigError

log = logging.getLogger(__name__)


class BalanceWatch:
    """Warn once when the discriminator is right about almost every patch, or about no more than by guessing, for long.

    Args:
        wins_above: Accuracy from which the discriminator counts as winning, above `loses_below` and up to 1.
        loses_below: Accuracy up to which it counts as losing; 0.5 is guessing.
        patience: Batches in a row before the warning.
        check_every: Batches between two looks; in between nothing waits for the device.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(
        self, *, wins_above: float = 0.99, loses_below: float = 0.52, patience: int = 1000, check_every: int = 50
    ) -> None:
        if not 0 <= loses_below < wins_above <= 1:
            raise ConfigError(
                f"`loses_below` must lie below `wins_above`, both in [0, 1], got {loses_below} and {wins_above}; "
                "the defaults are 0.52 and 0.99."
            )
        if patience < 1 or check_every < 1:
            raise ConfigError(
                f"`patience` and `check_every` must be at least 1, got {patience} and {check_every}; "
                "the defaults are 1000 and 50."
            )
        self.wins_above, self.loses_below = wins_above, loses_below
        self.patience, self.check_every = patience, check_every
        self._sum: Tensor | None = None
        self._batches = 0
        self._won = self._lost = 0
        self._warned: set[str] = set()

    def note(self, accuracy: Tensor) -> None:
        """Take in the accuracy of one batch and warn if it is time.

        Args:
            accuracy: Share of patches judged rightly, a scalar in `[0, 1]`; see `adversarial.accuracy`.
        """
        self._sum = accuracy.detach() if self._sum is None else self._sum + accuracy.detach()
        self._batches += 1
        if self._batches < self.check_every:
            return
        mean = float(self._sum) / self._batches
        self._won = self._won + self._batches if mean >= self.wins_above else 0
        self._lost = self._lost + self._batches if mean <= self.loses_below else 0
        self._sum, self._batches = None, 0
        if self._won >= self.patience:
            self._warn_once("wins", self._won, mean)
        if self._lost >= self.patience:
            self._warn_once("loses", self._lost, mean)

    def _warn_once(self, outcome: str, batches: int, mean: float) -> None:
        if outcome in self._warned:
            return
        self._warned.add(outcome)
        if outcome == "wins":
            log.warning(
                "The discriminator has been right about %.0f%% of the patches for %d batches; the generator learns "
                "little from it. Try model.discriminator.norm=spectral, with it model.r1_weight=0.01, or a lower rate "
                "in model.discriminator_optimizer.",
                100 * mean,
                batches,
            )
        else:
            log.warning(
                "The discriminator has been right about only %.0f%% of the patches for %d batches, hardly more than by "
                "guessing. Try a lower share of the adversarial term, or a higher rate in "
                "model.discriminator_optimizer.",
                100 * mean,
                batches,
            )
