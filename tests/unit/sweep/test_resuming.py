from __future__ import annotations

from prosr_lightning.sweep.resuming import difference


def test_a_sweep_goes_on_though_one_of_our_modules_has_moved_since():
    before = {"callbacks": {"last": {"_target_": "prosr_lightning.callbacks.KeepLast"}}}
    moved = {"callbacks": {"last": {"_target_": "prosr_lightning.train.callbacks.KeepLast"}}}
    assert difference(before, moved) is None
    another = {"callbacks": {"last": {"_target_": "prosr_lightning.train.callbacks.GradientNorm"}}}
    assert "callbacks.last._target_" in difference(before, another)


def test_classes_of_others_are_compared_with_their_modules():
    before, now = ({"optimizer": {"_target_": f"{module}.Adam"}} for module in ("torch.optim", "theirs"))
    assert "torch.optim.Adam" in difference(before, now)
