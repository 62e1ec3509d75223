"""A rehearsal of the cache's benchmark: who takes part, and that all give the same images. No times."""

from __future__ import annotations

import pytest

from benchmarks.training_cache import BATCH, OURS, PEERS, QUICK_COUNT, contestants, measure

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MONAI's, at import
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def test_all_contestants_give_every_image_once_and_unchanged() -> None:
    seen = {}
    with contestants(QUICK_COUNT) as epochs:
        for name, epoch in epochs.items():
            for _ in range(2):  # while the cache fills, and when it is full
                batches = list(epoch())
            assert [len(batch) for batch in batches] == [BATCH] * (QUICK_COUNT // BATCH)
            seen[name] = sorted(hash(image.numpy().tobytes()) for batch in batches for image in batch)
    assert len(set(seen[OURS])) == QUICK_COUNT
    assert all(images == seen[OURS] for images in seen.values())


def test_the_measures_have_their_form() -> None:
    measured = {measure.name: measure for measure in measure(repeats=2, quick=True)}
    assert set(measured) == set(PEERS)
    for one in measured.values():
        assert len(one.ours) == 2
        assert all(figure > 0 for figure in (*one.ours, *one.peer))
        assert one.speed_up() is not None or one.note
    assert measured["cache_vs_manager"].target == 10
    assert measured["cache_vs_copy"].target == 0.6
