"""Whole volumes through networks that take pieces."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from pkgs.data.windows import gaussian_weights, slice_mean, sliding_window, window_starts


def network_of(dims: int, *, classes: int = 3, padding: int = 1) -> nn.Module:
    torch.manual_seed(0)
    convolution = (nn.Conv2d if dims == 2 else nn.Conv3d)(1, classes, 3, padding=padding)
    return nn.Sequential(convolution, nn.Softmax(dim=1))


def volume_of(*space: int) -> Tensor:
    return torch.randn(1, *space, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("size", "window", "overlap"), [(10, 4, 0.5), (11, 4, 0.5), (4, 4, 0.5), (9, 8, 0.9), (7, 3, 0)]
)
def test_windows_cover_every_voxel_and_end_at_the_end(size: int, window: int, overlap: float) -> None:
    starts = window_starts(size, window=window, overlap=overlap)
    assert {v for start in starts for v in range(start, start + window)} == set(range(size))
    assert starts[0] == 0
    assert starts[-1] == size - window
    assert starts == sorted(set(starts))


@pytest.mark.parametrize("weights", ["gaussian", "constant"])
@pytest.mark.parametrize("space", [(11, 9, 14), (5, 17, 3), (13, 10)])
def test_the_mean_is_monais(weights: str, space: Sequence[int]) -> None:
    network, volume, window = network_of(len(space)), volume_of(*space), (6, 5, 4)[: len(space)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI's imports
        from monai.inferers import SlidingWindowInferer

    theirs = SlidingWindowInferer(window, 4, 0.5, mode=weights, cval=-1)(volume[None], network)
    ours = sliding_window(network, volume, window=window, weights=weights, outside=-1)  # type: ignore[arg-type]
    assert torch.allclose(ours, theirs[0], atol=1e-5)


def test_probabilities_sum_to_one_at_faces_and_corners() -> None:
    volume = volume_of(11, 9, 14)
    whole = sliding_window(network_of(3), volume, window=(6, 6, 6))
    slices = slice_mean(network_of(2), volume, orientations=(0, 1, 2))
    for probability in (whole, slices):
        assert probability.shape == (3, 11, 9, 14)
        assert torch.allclose(probability.sum(dim=0), torch.ones(11, 9, 14), atol=1e-5)


@pytest.mark.parametrize("overlap", [0, 0.5, 0.75])
def test_a_network_that_looks_at_one_voxel_gives_what_it_gives_to_the_whole(overlap: float) -> None:
    def pointwise(image: Tensor) -> Tensor:
        return torch.cat([image, -image], dim=1).softmax(dim=1)

    volume = volume_of(7, 12, 9)
    expected = pointwise(volume[None])[0]
    pieces = sliding_window(pointwise, volume, window=(4, 8, 10), overlap=overlap)
    assert torch.allclose(pieces, expected, atol=1e-6)
    assert torch.allclose(slice_mean(pointwise, volume, orientations=(0, 2), multiple=8), expected, atol=1e-6)


def test_every_call_has_the_same_shape() -> None:
    seen = []

    def spy(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape))
        return image.softmax(dim=1)

    sliding_window(spy, volume_of(7, 3, 9), window=(4, 4, 4), batch=4)
    assert set(seen) == {(4, 1, 4, 4, 4)}
    seen.clear()
    slice_mean(spy, volume_of(7, 5, 5), orientations=(0,), batch=4, multiple=8)
    assert seen == [(4, 1, 8, 8)] * 2


def test_the_result_does_not_depend_on_earlier_memory_or_on_the_batch() -> None:
    network, volume = network_of(3), volume_of(9, 9, 9)
    first = sliding_window(network, volume, window=(4, 4, 4))
    rubbish = torch.full((64, 9, 9, 9), 8e37)
    del rubbish
    assert torch.equal(sliding_window(network, volume, window=(4, 4, 4)), first)
    assert torch.allclose(sliding_window(network, volume, window=(4, 4, 4), batch=7), first, atol=1e-6)
    assert not first.requires_grad


def test_valid_convolutions_get_their_context_and_all_slices_count() -> None:
    network, volume = network_of(2, padding=0), volume_of(6, 7, 8)
    probability = slice_mean(network, volume, orientations=(0,), context=1, outside=0.0)
    padded = network_of(2, padding=1)
    assert torch.allclose(probability, padded(volume.movedim(1, 0)).movedim(0, 1), atol=1e-6)


def test_gaussian_weights_are_symmetric_highest_in_the_middle_and_never_zero() -> None:
    weights = gaussian_weights((9, 64))
    assert torch.equal(weights, weights.flip(0, 1))
    assert weights.argmax().item() in {4 * 64 + 31, 4 * 64 + 32}
    assert weights.min() == pytest.approx(1e-3)
    assert gaussian_weights((3,)).tolist()[1] == 1.0


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"window \(4, 4\) and overlap 0\.5 .* one side per axis"):
        sliding_window(network_of(3), volume_of(8, 8, 8), window=(4, 4))
    with pytest.raises(ValueError, match=r"overlap of at least 0 and below 1"):
        sliding_window(network_of(2), volume_of(8, 8), window=(4, 4), overlap=1.0)
    with pytest.raises(ValueError, match=r"answered \(4, 3, 2, 2\) to a window of \(4, 4\)"):
        sliding_window(network_of(2, padding=0), volume_of(8, 8), window=(4, 4))
