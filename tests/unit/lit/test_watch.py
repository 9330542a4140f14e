from __future__ import annotations

import logging

import pytest
import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.lit.watch import BalanceWatch


def warnings_of(caplog, accuracies, **settings):
    watch = BalanceWatch(**({"patience": 20, "check_every": 5} | settings))
    with caplog.at_level(logging.WARNING, "prosr_lightning.lit.watch"):
        for value in accuracies:
            watch.note(torch.tensor(value))
    return [record.getMessage() for record in caplog.records]


def test_a_discriminator_that_wins_for_long_is_reported_once(caplog):
    (message,) = warnings_of(caplog, [1.0] * 100)
    assert "right about 100% of the patches for 20 batches" in message
    assert "lower rate in model.discriminator_optimizer" in message


def test_a_discriminator_that_loses_for_long_is_reported_once(caplog):
    (message,) = warnings_of(caplog, [0.5] * 100)
    assert "only 50% of the patches for 20 batches" in message
    assert "higher rate in model.discriminator_optimizer" in message


def test_nothing_is_said_before_patience_ends_or_in_balance(caplog):
    assert warnings_of(caplog, [1.0] * 19) == []
    assert warnings_of(caplog, [0.8] * 200) == []


def test_a_better_moment_begins_the_count_anew(caplog):
    assert warnings_of(caplog, ([1.0] * 15 + [0.7] * 5) * 10) == []


def test_both_outcomes_are_reported_in_one_run(caplog):
    assert len(warnings_of(caplog, [1.0] * 40 + [0.4] * 40 + [1.0] * 40)) == 2


def test_the_mean_of_a_window_counts(caplog):
    """0.985 on average is no win at 0.99, though most batches are at 1."""
    assert warnings_of(caplog, [1.0, 1.0, 1.0, 1.0, 0.925] * 40) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wins_above": 0.5, "loses_below": 0.5}, "`loses_below` must lie below `wins_above`"),
        ({"wins_above": 1.1}, "`loses_below` must lie below `wins_above`"),
        ({"patience": 0}, "`patience` and `check_every` must be at least 1, got 0 and 50"),
        ({"check_every": 0}, "`patience` and `check_every` must be at least 1, got 1000 and 0"),
    ],
)
def test_refuses_settings_outside_their_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        BalanceWatch(**settings)
