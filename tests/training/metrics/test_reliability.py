"""The table per bin of p against brute force, and where peers count otherwise."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pkgs.training.metrics import BINS, UNIT, Reliability, measure_reliability, merged, reliability


def drawn(seed: int, *, count: int = 2000) -> tuple[Tensor, Tensor]:
    """Return probabilities with exact zeros, ones and edges among them, and labels with ignored ones."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.sigmoid(4 * torch.randn(1, count, generator=generator))
    p[0, :5] = torch.tensor([0.0, 1.0, 1.0, 0.2, 0.6])
    label = (torch.rand(1, count, generator=generator) < p).long()
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    return p, label


def brute_force(p: Tensor, label: Tensor, *, on_grid: bool) -> tuple[float, float]:
    """Return ECE and MCE in exact fractions, pixel by pixel."""
    bins: list[list[tuple[Fraction, int]]] = [[] for _ in range(BINS)]
    for value, y in zip(p.flatten().numpy(), label.flatten().tolist(), strict=True):
        if y != 255:
            exact = Fraction(float(value))
            place = min(int(np.floor(value * np.float32(BINS))), BINS - 1)
            bins[place].append((Fraction(round(exact * UNIT), UNIT) if on_grid else exact, y))
    gaps = [(len(b), abs(sum(v for v, _ in b) - sum(y for _, y in b)) / len(b)) for b in bins if b]
    total = sum(n for n, _ in gaps)
    return float(sum(n * gap for n, gap in gaps) / total), float(max(gap for _, gap in gaps))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_ece_and_mce_equal_brute_force_to_1e_12(seed: int) -> None:
    p, label = drawn(seed)
    table = measure_reliability(p, label)[0]
    assert (table.ece(), table.mce()) == pytest.approx(brute_force(p, label, on_grid=True), abs=1e-12)


def test_rounding_p_to_its_grid_costs_at_most_half_a_step() -> None:
    p, label = drawn(1)
    table = measure_reliability(p, label)[0]
    assert (table.ece(), table.mce()) == pytest.approx(brute_force(p, label, on_grid=False), abs=0.5 / UNIT)


def test_a_table_worked_out_by_hand() -> None:
    # bin 13 = [.8667, .9333): p .9 twice, one true; bin 1: p .1 once, not true
    table = measure_reliability(torch.tensor([[0.9, 0.9, 0.1]]), torch.tensor([[1, 0, 0]]))[0]
    assert table.ece() == pytest.approx((2 * 0.4 + 0.1) / 3, abs=1e-7)
    assert table.mce() == pytest.approx(0.4, abs=1e-7)
    assert table.mce(at_least=2) == pytest.approx(0.4, abs=1e-7)
    assert math.isnan(table.mce(at_least=3))
    point = table.curve()[13]
    assert (point.count, point.share, point.mean_p) == (2, 0.5, pytest.approx(0.9))
    assert math.isnan(table.curve()[0].mean_p)


def test_bins_are_closed_on_the_left_and_one_is_in_the_last() -> None:
    edges = torch.tensor([[0.0, 0.25, 0.5, 0.75, 1.0]])
    table = measure_reliability(edges, torch.ones(1, 5, dtype=torch.long), bins=4)[0]
    assert table.count == (1, 1, 1, 2)


def test_every_pixel_counts_once_whatever_the_size_and_the_bins() -> None:
    p = torch.rand(3, 300_000)  # more than one piece per row
    label = (p < 0.5).long()
    for bins in (1, 15, 4096):
        assert [table.total for table in measure_reliability(p, label, bins=bins)] == [300_000] * 3


def test_a_million_pixels_of_p_one_are_not_taken_for_counts() -> None:
    p = torch.ones(1, 2**20)
    table = measure_reliability(p, torch.zeros_like(p, dtype=torch.long))[0]
    assert (table.count[-1], table.p[-1], table.y[-1]) == (2**20, 2**20 * UNIT, 0)
    assert table.ece() == 1


def test_float32_sums_of_torchmetrics_drift_and_ours_do_not() -> None:
    from torchmetrics.functional.classification import binary_calibration_error as peer

    p = torch.full((1, 2_000_000), 0.7)
    label = (torch.arange(p.numel()).reshape(p.shape) % 10 < 7).long()  # calibrated
    assert measure_reliability(p, label)[0].ece() < 1e-7
    assert float(peer(p, label, n_bins=BINS)) > 1e-3


@pytest.mark.parametrize("bins", [1, 15, 4096])
@pytest.mark.parametrize("columns", [1, 3, 4097, 600_001])  # rests of four, of a block and of a span
def test_the_compiled_loop_and_the_scatter_of_an_accelerator_give_the_same_bits(
    bins: int, columns: int
) -> None:
    p = torch.rand(3, columns, generator=torch.Generator().manual_seed(columns))
    label = (torch.rand(p.shape, generator=torch.Generator().manual_seed(1)) < p).to(torch.uint8)
    label[torch.rand(p.shape, generator=torch.Generator().manual_seed(2)) < 0.1] = 255
    p[:, 0] = torch.tensor([0.0, 1.0, 2.0**-24])
    tables = [torch.zeros(2, 3, 2 * bins + 1, dtype=torch.long) for _ in range(2)]
    reliability._tally(p, label, *tables[0])
    reliability._scatter(p, label, *tables[1])
    assert torch.equal(*tables)


def test_the_table_does_not_depend_on_the_number_of_threads() -> None:
    p = torch.rand(5, 200_000, generator=torch.Generator().manual_seed(0))
    label, before, found = (p < 0.3).byte(), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(measure_reliability(p, label))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_perfect_calibration_has_no_error() -> None:
    p = torch.full((1, 8), 0.25)
    assert measure_reliability(p, torch.tensor([[1, 0, 0, 0, 1, 0, 0, 0]]))[0].ece() == 0


def test_the_mirror_image_of_p_and_label_has_the_same_error() -> None:
    p = torch.arange(1, 64).reshape(1, -1) / 64  # between the edges of 15 bins, and exact
    label = (torch.rand(p.shape, generator=torch.Generator().manual_seed(0)) < p).long()
    mirrored = measure_reliability(1 - p, 1 - label)[0]
    assert mirrored.ece() == pytest.approx(measure_reliability(p, label)[0].ece(), abs=1e-12)


def test_ignored_pixels_never_enter() -> None:
    p, label = drawn(2)
    table = measure_reliability(p, label)
    assert measure_reliability(torch.where(label == 255, 1.0, p), label) == table
    assert table[0].total == int((label != 255).sum())
    assert math.isnan(measure_reliability(p, torch.full_like(label, 255))[0].ece())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.bool])
def test_any_whole_dtype_of_labels_gives_the_same_table(dtype: torch.dtype) -> None:
    p, label = drawn(3)
    label = label.clamp(max=1)
    assert measure_reliability(p, label.to(dtype)) == measure_reliability(p, label)


def test_equal_mass_groups_equal_a_sorted_cut() -> None:
    # 150 distinct values in 150 bins of the histogram: 15 groups of ten
    p = (torch.randperm(4096, generator=torch.Generator().manual_seed(0))[:150] + 0.5).reshape(1, -1) / 4096
    label = (torch.rand(p.shape, generator=torch.Generator().manual_seed(1)) < p).long()
    table = measure_reliability(p, label, bins=4096)[0].adaptive()
    order = p[0].argsort()
    groups = zip(p[0, order].double().split(10), label[0, order].split(10), strict=True)
    wanted = sum(10 * abs(float(v.mean() - y.double().mean())) for v, y in groups) / 150
    assert table.count == (10,) * 15
    assert table.ece() == pytest.approx(wanted, abs=1e-12)


def test_equal_values_are_never_parted_by_equal_mass() -> None:
    p = torch.full((1, 100), 0.3)
    table = measure_reliability(p, torch.ones(1, 100, dtype=torch.long), bins=4096)[0].adaptive()
    assert sorted(table.count) == [0] * 14 + [100]


def test_torchmetrics_agrees_where_no_p_is_one() -> None:
    from torchmetrics.functional.classification import binary_calibration_error as peer

    p, label = drawn(4, count=20_000)
    p = p.clamp(max=0.999)
    table = measure_reliability(p, label)[0]
    for norm, ours in (("l1", table.ece()), ("max", table.mce())):
        theirs = peer(p, label, n_bins=BINS, norm=norm, ignore_index=255)
        # float32 sums of theirs
        assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_torchmetrics_gives_p_of_one_a_bin_of_its_own() -> None:
    from torchmetrics.functional.classification import binary_calibration_error as peer

    p, label = torch.tensor([[0.95, 1.0]]), torch.tensor([[1, 0]])
    # one bin: |.975 - .5|; apart: (.05 + 1) / 2
    assert measure_reliability(p, label)[0].ece() == pytest.approx(0.475, abs=1e-6)
    assert float(peer(p, label, n_bins=BINS)) == pytest.approx(0.525, abs=1e-6)


def test_torchmetrics_takes_logits_for_granted_and_we_refuse_them() -> None:
    from torchmetrics.functional.classification import binary_calibration_error as peer

    logits, label = torch.tensor([[0.2, 0.9]]), torch.tensor([[0, 1]])  # both small: taken for probabilities
    squashed = float(peer(logits.sigmoid(), label, n_bins=BINS))
    assert float(peer(logits, label, n_bins=BINS)) != pytest.approx(squashed, abs=0.1)
    with pytest.raises(ValueError, match="Are these logits"):
        measure_reliability(torch.tensor([[0.2, 1.7]]), label)


def test_monai_bins_agree() -> None:
    from monai.metrics.calibration import calibration_binning

    p, label = drawn(5)
    p, label = p[:, 5:], label[:, 5:].clamp(max=1)  # without the edges themselves
    mean_p, share, count = (
        each[0, 0] for each in calibration_binning(p[:, None], label[:, None].float(), num_bins=BINS)
    )
    for point, *theirs in zip(
        measure_reliability(p, label)[0].curve(), count.tolist(), mean_p.tolist(), share.tolist(), strict=True
    ):
        assert [point.count, point.mean_p, point.share] == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    ("p", "label", "message"),
    [
        (torch.rand(1, 4), torch.zeros(1, 5, dtype=torch.long), "agree in shape"),
        (torch.rand(0, 4), torch.zeros(0, 4, dtype=torch.long), "Is the data set empty"),
        (torch.full((1, 4), -0.1), torch.zeros(1, 4, dtype=torch.long), r"within \[0, 1\]"),
        (torch.full((1, 4), 1.1), torch.zeros(1, 4, dtype=torch.long), "Are these logits"),
        (torch.full((1, 4), math.nan), torch.zeros(1, 4, dtype=torch.long), r"within \[0, 1\]"),
        (torch.rand(1, 4), torch.full((1, 4), 2), "must be 0 to 1 or 255"),
        (torch.rand(1, 4), torch.full((1, 4), -1), "map the file's values"),
        (torch.rand(1, 4), torch.zeros(1, 4), "whole numbers, got torch.float32"),
    ],
)
def test_what_is_no_probability_or_label_is_refused(p: Tensor, label: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_reliability(p, label)


def test_an_empty_table_is_neutral() -> None:
    table = measure_reliability(*drawn(6))[0]
    assert Reliability() + table == table == merged([table, Reliability()])
