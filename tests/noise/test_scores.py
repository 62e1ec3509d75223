import numpy as np
import pytest

from pkgs.noise import scores


def random_pairs(count: int, *, side: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities, some patches empty in both."""
    rng = np.random.default_rng(seed)
    share = rng.choice([0.0, 0.02, 0.2, 0.6], count)[:, None, None]
    label = (rng.random((count, side, side)) < share).astype(np.uint8)
    noise = rng.random((count, side, side))
    probability = np.where(rng.random((count, side, side)) < 0.8, 0.9 * label + 0.05, noise * share)
    return label, probability


def test_iou_of_two_pixels_that_share_one_is_two_thirds() -> None:
    label = np.array([[[1, 1, 0, 0]]], np.uint8)
    predicted = np.array([[[False, True, True, False]]])
    assert scores.iou(label, predicted) == pytest.approx([2 / 3])


def test_two_empty_masks_are_clean_and_one_empty_mask_is_wholly_noisy() -> None:
    label = np.zeros((2, 1, 4), np.uint8)
    predicted = np.array([[[False] * 4], [[True, False, False, False]]])
    assert scores.iou(label, predicted).tolist() == [0.0, 1.0]


def test_wiou_orders_ten_thousand_random_pairs_as_iou_does() -> None:
    label, probability = random_pairs(10_000)
    predicted = scores.hard(probability)
    plain = scores.iou(label, predicted)
    weighted = scores.wiou(label, predicted, empty_is_noisy=False)
    np.testing.assert_array_equal(np.argsort(plain, kind="stable"), np.argsort(weighted, kind="stable"))


def test_the_reference_ranks_empty_pairs_among_the_noisiest_and_iou_ranks_them_first() -> None:
    label, probability = random_pairs(10_000)
    label[0], probability[0] = 0, 0
    predicted = scores.hard(probability)
    empty = ~label.any(axis=(1, 2)) & ~predicted.any(axis=(1, 2))
    plain, weighted = scores.iou(label, predicted), scores.wiou(label, predicted)
    assert plain[0] == plain.min() == 0
    assert weighted[0] == 1.0
    assert (weighted[~empty & (plain < 0.9)] < weighted[0]).all()
    order = np.argsort(plain[~empty], kind="stable")
    np.testing.assert_array_equal(order, np.argsort(weighted[~empty], kind="stable"))


def test_a_logit_of_three_tenths_is_building_and_was_none_for_the_reference() -> None:
    probability = np.array([[[1 / (1 + np.exp(-0.3))]]])
    assert scores.hard(probability).all()
    assert not scores.hard(probability, threshold=scores.LOGIT_HALF).any()


def test_cross_entropy_matches_a_value_worked_out_by_hand_and_is_clipped() -> None:
    label = np.array([[[1, 0]], [[1, 1]]], np.uint8)
    probability = np.array([[[0.5, 0.75]], [[0.0, 1.0]]])
    expected = [(np.log(2) + np.log(4)) / 2, np.log(1000) / 2]
    assert scores.ce(label, probability) == pytest.approx(expected)


def test_confident_learning_counts_pixels_below_the_mean_of_their_class() -> None:
    # q: buildings .9 .5 .7 (mean .7), ground .8 .2 .5 (mean .5); below: .5 and .2
    label = np.array([[[1, 1, 0]], [[1, 0, 0]]], np.uint8)
    probability = np.array([[[0.9, 0.5, 0.2]], [[0.7, 0.8, 0.5]]])
    means = scores.ClassMeans()
    means.add(label[:1], probability[:1])
    means.add(label[1:], probability[1:])
    assert means.values == pytest.approx((0.5, 0.7))
    exact = (0.5, 0.7)
    assert scores.pixels(label, probability, class_means=exact) == pytest.approx([1 / 3, 1 / 3])


def test_a_class_without_a_pixel_has_the_mean_zero() -> None:
    means = scores.ClassMeans()
    means.add(np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 0.25))
    assert means.values == (0.75, 0.0)


def test_softmin_agrees_with_an_independent_computation_to_one_in_a_million() -> None:
    import torch

    label, probability = random_pairs(50)
    y, p = (torch.from_numpy(np.asarray(each, np.float64)).flatten(1) for each in (label, probability))
    q = y * p + (1 - y) * (1 - p)
    expected = 1 - (q * torch.softmax((1 - q) / 0.1, dim=1)).sum(dim=1)
    np.testing.assert_allclose(scores.softmin(label, probability.astype(np.float32)), expected, atol=1e-6)


def test_softmin_follows_the_worst_pixel_and_is_zero_for_sure_and_right_ones() -> None:
    label = np.ones((2, 1, 100), np.uint8)
    probability = np.ones((2, 1, 100))
    probability[1, 0, 0] = 0
    clean, noisy = scores.softmin(label, probability)
    assert clean == pytest.approx(0)
    assert noisy > 0.99


def test_variance_is_that_over_seeds_and_needs_two() -> None:
    maps = [np.full((1, 2, 2), 0.2), np.full((1, 2, 2), 0.6)]
    assert scores.variance(maps) == pytest.approx([0.04])
    with pytest.raises(ValueError, match="1 seed; it needs at least 2"):
        scores.variance(maps[:1])


def test_disagreement_knows_no_label() -> None:
    teacher, student = np.array([[[True, True]]]), np.array([[[True, False]]])
    assert scores.disagreement(teacher, student).tolist() == [0.5]


def test_the_bridge_turns_the_label_round_where_it_is_likely_wrong() -> None:
    label = np.array([[[1, 1, 0, 0]]], np.uint8)
    wrong = np.array([[[0.9, 0.1, 0.5, 0.51]]])
    assert scores.implied(label, wrong).tolist() == [[[False, True, False, True]]]
    assert scores.bridge(label, wrong) == pytest.approx([2 / 3])
    assert scores.bridge_mean(wrong) == pytest.approx([0.5025])


def test_all_scores_are_the_same_in_chunks_and_in_mirrored_patches() -> None:
    label, probability = random_pairs(64)
    for score in (scores.ce, scores.softmin, scores.bridge):
        whole = score(label, probability)
        np.testing.assert_array_equal(whole[40:], score(label[40:], probability[40:]))
        np.testing.assert_allclose(whole, score(label[:, ::-1], probability[:, ::-1]), rtol=1e-12)


def test_combined_is_the_mean_of_ranks_and_ties_share_theirs() -> None:
    columns = {
        "iou": np.array([0.0, 0.0, 0.5, 1.0]),  # ranks 1.5 1.5 3 4
        "softmin": np.array([0.4, 0.3, 0.2, 0.1]),  # ranks 4 3 2 1
        "bridge": np.array([0.0, 0.0, 0.0, 0.9]),  # ranks 2 2 2 4
        "ce": np.array([9.0, 1.0, 0.0, 0.0]),
    }
    ranks = np.array([1.5 + 4 + 2, 1.5 + 3 + 2, 3 + 2 + 2, 4 + 1 + 4]) / 3
    assert scores.combined(columns) == pytest.approx((ranks - 0.5) / 4)


def test_a_patch_that_is_ranked_among_others_gets_the_place_of_its_equal() -> None:
    columns = {"iou": np.array([0.1, 0.2, 0.2, 0.7]), "softmin": np.array([0.1, 0.3, 0.3, 0.9])}
    again = scores.combined({name: each[2:] for name, each in columns.items()}, among=columns)
    assert again == pytest.approx(scores.combined(columns)[2:])
    with pytest.raises(ValueError, match="has none of iou, softmin, bridge, only ce"):
        scores.combined({"ce": np.zeros(2)})


def test_labels_of_another_size_or_with_other_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must agree in shape. Were both made with the same data.size_px"):
        scores.ce(np.zeros((1, 2, 2), np.uint8), np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match="A label holds 255; expected 0 and 1"):
        scores.iou(np.full((1, 2, 2), 255, np.uint8), np.zeros((1, 2, 2), bool))
