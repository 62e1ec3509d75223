"""What holds for every kind of sums: any order gives the same bits, and a state comes back whole."""

from __future__ import annotations

import io
import itertools
import json
import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pkgs.training import metrics
from pkgs.training.metrics import Sums, collected, defined, macro, merged, restore

ITEMS = 7
SIDE = 13
"""Odd, so that vectors of any width leave a rest."""


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(ITEMS, *shape, generator=torch.Generator().manual_seed(seed))


LOGITS = 3 * drawn(1, SIDE, SIDE)
MASK = torch.where(drawn(SIDE, SIDE, seed=1) > 1.5, 255, (drawn(SIDE, SIDE, seed=2) > 0.4).long())
CLASS_LOGITS = 2 * drawn(3, SIDE, SIDE, seed=3)
CLASSES = torch.where(MASK == 255, 255, CLASS_LOGITS.roll(1, 2).argmax(dim=1))
FINDINGS = torch.where(drawn(3, seed=4) > 1, -1, (drawn(3, seed=5) > 0).long())
NAMES = ("a", "b", "c")
REGIONS = {"b": (1,), "b or c": (1, 2)}

Measure = Callable[[Tensor], list[Sums]]
"""From the numbers of items to the sums of each, or of all of them."""

KINDS: dict[str, Measure] = {
    "Calibration": lambda k: [*metrics.measure_calibration(LOGITS[k], MASK[k])],
    "ClassCalibration": lambda k: [*metrics.measure_class_calibration(CLASS_LOGITS[k], CLASSES[k])],
    "Confusion": lambda k: [
        metrics.measure_classes(CLASS_LOGITS[k, :, 0, 0], CLASSES[k, 1, 1] % 255, names=NAMES)
    ],
    "Findings": lambda k: [metrics.measure_findings(drawn(3)[k], FINDINGS[k], names=NAMES)],
    "Overlap": lambda k: [*metrics.measure_masks(LOGITS[k, 0] > 0, MASK[k])],
    "PerGroup": lambda k: [
        *metrics.measure_regions(CLASS_LOGITS[k].argmax(1), CLASSES[k], classes=3, regions=REGIONS)
    ],
    "PixelRanking": lambda k: [*metrics.measure_pixel_ranking(LOGITS[k, 0].sigmoid(), MASK[k])],
    "PixelSums": lambda k: [*metrics.measure(LOGITS[k], MASK[k])],
    "Ranking": lambda k: [metrics.measure_ranking(drawn(3)[k].round(), FINDINGS[k], names=NAMES)],
    "Regression": lambda k: [*metrics.measure_regression(LOGITS[k], LOGITS[k] + drawn(1, SIDE, SIDE)[k])],
    "Reliability": lambda k: [*metrics.measure_reliability(LOGITS[k, 0].sigmoid(), MASK[k])],
    "Surface": lambda k: [
        metrics.measure_surface(LOGITS[i, 0] > 0, MASK[i], spacing_mm=(1, 0.7), tolerance_mm=1) for i in k
    ],
}
# what the caller computes is no metric's concern: torch's own sigmoid depends on the position in the batch
LOGITS.copy_(metrics.pixels.sigmoid(LOGITS).logit())
kinds = pytest.mark.parametrize("kind", KINDS)


def whole(kind: str) -> Sums:
    return merged(KINDS[kind](torch.arange(ITEMS)))


@kinds
@settings(max_examples=12, deadline=None)
@given(order=st.permutations(range(ITEMS)), cuts=st.sets(st.integers(1, ITEMS - 1)), seed=st.integers(0, 99))
def test_any_order_of_any_parts_gives_the_same_bits(
    kind: str, order: list[int], cuts: set[int], seed: int
) -> None:
    edges = [0, *sorted(cuts), ITEMS]
    batches = [torch.tensor(order[a:b]) for a, b in itertools.pairwise(edges)]
    parts = [part for batch in batches for part in KINDS[kind](batch)]
    random.Random(seed).shuffle(parts)  # noqa: S311 - no secret
    middle = len(parts) // 2
    halves = [merged(half) for half in (parts[:middle], parts[middle:]) if half]
    assert merged(halves).as_state() == whole(kind).as_state()
    assert str(merged(halves).scores()) == str(whole(kind).scores())  # text: NaN equals NaN


@kinds
def test_the_number_of_threads_changes_no_bit(kind: str) -> None:
    before, wanted = torch.get_num_threads(), whole(kind).as_state()
    try:
        torch.set_num_threads(3)
        assert whole(kind).as_state() == wanted
    finally:
        torch.set_num_threads(before)


@kinds
def test_measuring_leaves_predictions_and_labels_as_they_are(kind: str) -> None:
    inputs = (LOGITS, MASK, CLASS_LOGITS, CLASSES, FINDINGS)
    before = [each.clone() for each in inputs]
    KINDS[kind](slice(None) if kind != "Surface" else range(ITEMS))  # type: ignore[arg-type] - views, no copies
    assert all(map(torch.equal, inputs, before))


@kinds
def test_a_state_comes_back_from_json_and_from_weights_only_loading(kind: str) -> None:
    sums = whole(kind)
    state = sums.as_state()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    for loaded in (json.loads(json.dumps(state)), torch.load(buffer, weights_only=True)):
        again = restore(loaded)
        assert type(again).__name__ == kind
        assert again.as_state() == state
        assert str(again.scores()) == str(sums.scores())


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"Ranking"}))
def test_the_state_does_not_grow_with_the_number_of_items(kind: str) -> None:
    def size(state: object) -> int:
        if isinstance(state, dict):
            return sum(map(size, state.values()))
        return sum(map(size, state)) if isinstance(state, list) else 1

    one, many = merged(KINDS[kind](torch.tensor([1]))), merged([whole(kind)] * 50)
    assert size(many.as_state()) == size(one.as_state())


@kinds
def test_what_is_not_in_the_state_of_a_kind_is_refused(kind: str) -> None:
    state = whole(kind).as_state()
    with pytest.raises(ValueError, match="Were they written by another version"):
        restore({**state, "surplus": 1})


def test_every_kind_that_can_be_restored_is_in_this_suite() -> None:
    assert metrics.states.KINDS.keys() == KINDS.keys() | {"ClassRanking"}  # a part of Ranking


def test_a_state_of_an_unknown_kind_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="Did you mean 'Overlap'"):
        restore({"kind": "Overlaps"})


def test_sums_of_other_bins_classes_or_kinds_are_not_merged() -> None:
    p, y = torch.rand(1, 9), torch.zeros(1, 9, dtype=torch.long)
    few, many = metrics.measure_reliability(p, y, bins=10)[0], metrics.measure_reliability(p, y)[0]
    with pytest.raises(ValueError, match="of 10 and of 15 entries"):
        few + many
    with pytest.raises(ValueError, match="name the same classes"):
        metrics.Confusion(("a",), (1,)) + metrics.Confusion(("b",), (1,))
    with pytest.raises(TypeError, match="cannot be merged"):
        few + metrics.Overlap()  # type: ignore[operator]


def test_nothing_to_merge_is_an_error() -> None:
    with pytest.raises(ValueError, match="Is the data set empty"):
        merged([])


def test_the_mean_over_groups_leaves_out_what_is_not_defined_and_counts_it() -> None:
    parts = [metrics.Regression(1, absolute=2 * metrics.UNIT), metrics.Regression()]
    assert macro(parts)["mae"] == 2
    assert defined(parts)["mae"] == 1
    assert str(macro(parts)["pearson"]) == "nan"


def test_the_mean_over_groups_does_not_depend_on_their_order() -> None:
    # 0.1 + 0.2 + 0.3 is another float than 0.3 + 0.2 + 0.1
    parts = [metrics.Confusion(("a", "b"), (k, 10 - k, 0, 0)) for k in (1, 2, 3)]
    assert macro(parts) == macro(parts[::-1])


def test_groups_are_merged_by_name_and_regrouped() -> None:
    parts = metrics.measure_masks(LOGITS[:4, 0] > 0, MASK[:4])
    volumes = collected(zip(("v1", "v1", "v2", "v3"), parts, strict=True))
    assert volumes.parts["v1"] == parts[0] + parts[1]
    assert volumes.pooled() == merged(parts)
    halves = collected(zip(("v1", "v3"), (parts[0], parts[3]), strict=True)) + collected(
        zip(("v2", "v1"), (parts[2], parts[1]), strict=True)
    )
    assert halves == volumes
    patients = volumes.regrouped({"v1": "p", "v2": "p", "v3": "q"})
    assert patients.parts["p"] == merged(parts[:3])
    with pytest.raises(ValueError, match="No coarser group is known of v3"):
        volumes.regrouped({"v1": "p", "v2": "p"})
