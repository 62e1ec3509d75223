import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from pkgs.noise import cut, scores

SIDE = 32


def columns_of(rng: np.random.Generator, count: int, *, middle: float) -> dict[str, np.ndarray]:
    """Return made-up scores around `middle`."""
    return {name: np.clip(rng.normal(middle, 0.08, count), 0, 1) for name in ("iou", "softmin", "bridge")}


def joined(*parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def simulated(*, share: float, count: int = 200) -> dict[str, np.ndarray]:
    """Return labels, of which about `share` are noisy, and predictions that err a little everywhere."""
    rng = np.random.default_rng(7)
    clean = np.zeros((count, SIDE, SIDE), np.uint8)
    for mask in clean:
        for y, x in rng.integers(2, SIDE - 12, (rng.integers(1, 4), 2)):
            mask[y : y + 9, x : x + 8] = 1
    label = clean.copy()
    for place in np.flatnonzero(rng.random(count) < share):
        label[place] = cut.injected(clean[place : place + 1], [f"real {place}"], copy=99)[0]
    hard = rng.beta(1.5, 4, count)[:, None, None]
    inside, outside = (
        np.stack([distance_transform_edt(mask) for mask in each]) for each in (clean, 1 - clean)
    )
    wobble = gaussian_filter(rng.normal(size=clean.shape), (0, 2, 2)) * (2 + 14 * hard)
    probability = 1 / (1 + np.exp(-(inside - outside + wobble) / (1 + 2 * hard)))
    true = scores.iou(label, clean.astype(bool))
    groups = np.array([f"tile_{place // 10}" for place in range(count)])
    return {"label": label, "probability": probability, "noisy": true > 0.1, "groups": groups}


def rate_of(world: dict[str, np.ndarray]) -> cut.NoiseRate:
    label, probability = world["label"], world["probability"]
    columns = cut.rescored(label, probability, None)
    low = cut.cleanest(scores.combined(columns), cut.doubt(probability))
    names = [str(place) for place in low]
    changed = cut.injected(label[low], names, copy=0)
    noisy = scores.iou(changed, label[low].astype(bool)) > 0.1
    again = cut.rescored(changed[noisy], probability[low][noisy], None)
    curve = cut.fit(columns, clean=low, noisy=again)
    return cut.noise_rate(curve, columns, groups=list(world["groups"]))


def test_separable_scores_are_cut_between_and_the_rate_is_right() -> None:
    rng = np.random.default_rng(0)
    clean, noisy = columns_of(rng, 300, middle=0.1), columns_of(rng, 100, middle=0.8)
    curve = cut.fit_curve(columns_of(rng, 100, middle=0.1), columns_of(rng, 50, middle=0.8))
    rate = cut.noise_rate(curve, joined(clean, noisy), groups=[str(n % 40) for n in range(400)])
    assert rate.noisy.tolist() == [False] * 300 + [True] * 100
    assert abs(rate.estimate - 0.25) < 0.02
    assert rate.interval[0] <= 0.25 <= rate.interval[1]


def test_inseparable_scores_give_a_curve_that_is_almost_flat() -> None:
    rng = np.random.default_rng(1)
    sides = [columns_of(rng, 20_000, middle=0.4) for _ in range(2)]
    curve = cut.fit_curve(*sides)
    assert np.abs(curve.log_odds(sides[0])).max() < 0.1


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_the_noise_rate_is_near_the_truth_on_simulated_labels(share: float) -> None:
    world = simulated(share=share)
    rate = rate_of(world)
    assert abs(rate.estimate - world["noisy"].mean()) < 0.1
    assert (rate.noisy == world["noisy"]).mean() > 0.9
    assert rate.interval[0] < rate.estimate < rate.interval[1]


def test_labels_without_noise_have_a_small_rate_and_few_pass_the_cut() -> None:
    rate = rate_of(simulated(share=0.0))
    assert rate.estimate < 0.15
    assert rate.noisy.mean() <= 0.15


def test_the_prior_is_where_the_iterations_of_em_come_to_rest() -> None:
    odds = np.random.default_rng(2).normal(-1, 3, 500)
    share = 0.5
    for _ in range(5000):
        share = cut.posterior(odds, share).mean()
    assert cut.prior_by_em(odds, np.ones((1, 500))) == pytest.approx([share], abs=1e-6)


def test_a_set_on_one_side_of_the_curve_has_the_prior_zero_or_one() -> None:
    assert cut.prior_by_em(np.array([-2.0, -1.0]), np.ones((1, 2))).tolist() == [0.0]
    assert cut.prior_by_em(np.array([30.0, 30.0]), np.ones((1, 2))).tolist() == [1.0]


def test_a_resample_counts_its_weights() -> None:
    odds = np.array([-3.0, 0.5, 3.0])
    twice = cut.prior_by_em(odds, np.array([[1.0, 2.0, 1.0]]))
    assert twice == pytest.approx(cut.prior_by_em(np.array([-3.0, 0.5, 0.5, 3.0]), np.ones((1, 4))))


def test_the_cleanest_are_taken_at_each_level_of_doubt() -> None:
    doubts = np.repeat([0.0, 0.1, 0.2, 0.3, 0.4], 10)
    score = np.tile(np.arange(10) / 10, 5) + doubts  # by score alone the first levels would win
    assert cut.cleanest(score, doubts).tolist() == [
        10 * level + place for level in range(5) for place in range(3)
    ]


def test_injected_noise_depends_on_patch_and_copy_alone() -> None:
    label = simulated(share=0.0, count=6)["label"]
    whole = cut.injected(label, list("abcdef"), copy=1)
    np.testing.assert_array_equal(whole[3:], cut.injected(label[3:], list("def"), copy=1))
    assert (whole != cut.injected(label, list("abcdef"), copy=2)).any()
    assert (whole != label).any()


def test_the_mask_that_an_error_teacher_implies_stays_when_the_label_changes() -> None:
    label, changed = np.array([[[1, 0, 0]]], np.uint8), np.array([[[1, 1, 0]]], np.uint8)
    wrong = np.array([[[0.9, 0.2, 0.4]]])
    again = cut.still_implied(label, changed, wrong)
    assert again.tolist() == [[[0.9, 0.8, 0.4]]]
    np.testing.assert_array_equal(scores.implied(label, wrong), scores.implied(changed, again))


def test_networks_that_differ_from_the_cleanest_labels_are_warned_about() -> None:
    assert cut.doubtful(0.1, noisy_above=0.1) is None
    told = cut.doubtful(0.31, noisy_above=0.1)
    assert told is not None
    assert "differ from even the cleanest labels by 0.31" in told


def test_a_set_into_which_no_noise_goes_is_refused_with_a_remedy() -> None:
    empty = {"iou": np.zeros(0), "softmin": np.zeros(0)}
    with pytest.raises(ValueError, match=r"0 with injected noise: no curve can be fitted.*noisy_above"):
        cut.fit_curve({"iou": np.zeros(3), "softmin": np.zeros(3)}, empty)
