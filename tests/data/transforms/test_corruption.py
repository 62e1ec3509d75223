"""Falsified masks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pkgs.data.transforms.config import CorruptionConfig
from pkgs.data.transforms.contract import dump, restore
from pkgs.data.transforms.corruption import Corruption, CorruptionDraws
from pkgs.foundation.seeds import Purpose


def batch_of(count: int = 16) -> dict[str, Tensor]:
    mask = torch.zeros(count, 32, 32, dtype=torch.uint8)
    mask[:, 6:20, 8:28] = 1
    return {"mask": mask, "image": torch.zeros(count, 1, 32, 32)}


def draws_of(config: CorruptionConfig, *, first: int = 0, count: int = 16) -> CorruptionDraws:
    return Corruption(config, "mask").draw(1, Purpose.CORRUPT, first=first, batch=count, sides=(32, 32))


ALWAYS = CorruptionConfig(p=1, erase_p=0.5, soft_p=0.5)


def test_the_share_of_falsified_masks_is_the_chance() -> None:
    draws = draws_of(CorruptionConfig(), count=20_000)
    assert abs((draws.sigma_px_B > 0).mean() - 0.13) < 0.008
    assert ((draws.sigma_px_B > 0) | ~draws.spatial.moved_B).all()


def test_a_mask_that_drew_nothing_keeps_its_values_and_images_are_not_touched() -> None:
    batch = batch_of()
    result = Corruption(CorruptionConfig(p=0), "mask")(batch, draws_of(CorruptionConfig(p=0)))
    assert torch.equal(result["mask"], batch["mask"].float())
    assert result["image"] is batch["image"]


def test_falsified_masks_differ_and_are_hard_unless_drawn_soft() -> None:
    batch, draws = batch_of(), draws_of(ALWAYS)
    mask = Corruption(ALWAYS, "mask")(batch, draws)["mask"]
    assert (mask != batch["mask"]).flatten(1).any(dim=1).all()
    between = ((mask > 0) & (mask < 1)).flatten(1).any(dim=1)
    assert torch.equal(between, torch.from_numpy(draws.soft_B))
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_one_batch_of_sixteen_equals_four_of_four_and_stored_draws_replay_it() -> None:
    batch, falsify = batch_of(), Corruption(ALWAYS, "mask")
    whole = falsify(batch, restore(CorruptionDraws, dump(draws_of(ALWAYS))))["mask"]
    parts = [
        falsify({"mask": batch["mask"][:4]}, draws_of(ALWAYS, first=at, count=4))["mask"]
        for at in (0, 4, 8, 12)
    ]
    assert torch.equal(whole, torch.cat(parts))


def test_a_mask_with_ignored_pixels_is_refused() -> None:
    batch = batch_of()
    batch["mask"][:] = 255
    with pytest.raises(ValueError, match="'mask' holds 255; a mask to falsify holds 0 and 1"):
        Corruption(CorruptionConfig(p=0), "mask")(batch, draws_of(CorruptionConfig(p=0)))
