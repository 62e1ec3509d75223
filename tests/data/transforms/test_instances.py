"""Objects that are dropped, moved, added, grown and shrunk."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pkgs.data.transforms.instances import add, drop, grow, picked, shift, soften, threshold


def two_objects() -> Tensor:
    """Return a map with object 3 (2 x 2 pixels) and object 7 (1 x 3), and an empty one."""
    instances = torch.zeros(2, 8, 8, dtype=torch.int16)
    instances[0, 1:3, 1:3] = 3
    instances[0, 5, 4:7] = 7
    return instances


def test_one_object_per_sample_is_picked_and_none_where_there_is_none() -> None:
    low, high = (picked(two_objects(), torch.tensor([pick, pick])) for pick in (0.0, 0.99))
    assert low.flatten(1).sum(dim=1).tolist() == [4, 0]
    assert high.flatten(1).sum(dim=1).tolist() == [3, 0]


def test_a_dropped_object_is_background() -> None:
    assert drop(two_objects(), torch.zeros(2)).unique().tolist() == [0, 7]


def test_a_shifted_object_keeps_its_number_and_loses_what_leaves_the_image() -> None:
    moved = shift(two_objects(), torch.zeros(2), shift_px_BD=torch.tensor([[0, 6], [1, 1]]))
    assert (moved[0] == 3).nonzero().tolist() == [[1, 7], [2, 7]]
    assert (moved[0] == 7).sum() == 3


def test_an_added_object_lies_in_the_background_and_has_a_new_number() -> None:
    instances = two_objects()
    centre, radius = torch.tensor([[2.0, 3.0], [4.0, 4.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    more = add(instances, centre_px_BD=centre, radius_px_BD=radius)
    assert (more[0] == 8).nonzero().tolist() == [[1, 3], [2, 3], [2, 4], [3, 3]]
    assert torch.equal(more[1], instances[1])
    with pytest.raises(ValueError, match=r"torch\.uint8 cannot hold one more object than 255; use int32"):
        add(torch.full((1, 4, 4), 255).byte(), centre_px_BD=torch.zeros(1, 2), radius_px_BD=torch.ones(1, 2))


def test_growing_and_shrinking_by_hand() -> None:
    instances = torch.zeros(3, 9, 9, dtype=torch.uint8)
    instances[:, 3:6, 3:6] = 1
    assert grow(instances, torch.tensor([1, -1, 0])).flatten(1).sum(dim=1).tolist() == [25, 1, 9]
    assert grow(instances, torch.tensor([2, -2, 0])).flatten(1).sum(dim=1).tolist() == [49, 0, 9]


def test_objects_do_not_grow_into_each_other_and_shrink_apart() -> None:
    instances = torch.zeros(1, 3, 6, dtype=torch.int32)
    instances[:, :, :3], instances[:, :, 3:] = 1, 2
    assert torch.equal(grow(instances, torch.tensor([1])), instances)
    assert grow(instances, torch.tensor([-1]))[0, 0].tolist() == [1, 1, 0, 0, 2, 2]


def test_volumes_grow_too() -> None:
    instances = torch.zeros(1, 5, 5, 5, dtype=torch.uint8)
    instances[0, 2, 2, 2] = 1
    assert grow(instances, torch.tensor([1])).sum() == 27


def test_soft_masks_have_values_between_and_a_threshold_takes_them_back() -> None:
    mask = torch.zeros(2, 12, 12, dtype=torch.uint8)
    mask[:, 3:9, 3:9] = 1
    shares = soften(mask, torch.tensor([1.0, 0.0]), kernel_px=5)
    assert ((shares[0] > 0.1) & (shares[0] < 0.9)).any()
    assert torch.equal(shares[1], mask[1].float())
    assert (threshold(shares)[0] != mask[0]).sum() == 4  # a Gaussian rounds the corners


def test_shares_are_no_instances() -> None:
    with pytest.raises(ValueError, match=r"An instance map is whole numbers .* Threshold shares first"):
        drop(torch.zeros(1, 4, 4), torch.zeros(1))
