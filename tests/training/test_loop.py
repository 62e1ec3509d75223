"""The loop: parts, cadences, accumulation, precision, stops."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pkgs.training.stop import Stopped
from pkgs.training.tables import CLOCK
from tests.builders.lines import flat, last_rows, line_config, line_loop, line_network

STEPS = 6


def test_tables_have_time_step_rate_and_pace_in_every_row(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path)
    loop.run()
    rows = loop.places.train.rows()
    assert [row["step"] for row in rows] == [str(step) for step in range(1, STEPS + 1)]
    assert all(row[name] for row in rows for name in (*CLOCK, "loss", "grad_norm"))


def test_a_step_uses_its_draws_whole_and_a_batch_may_reach_into_the_next_epoch(tmp_path: Path) -> None:
    loop, method = line_loop(tmp_path, line_config(batch_samples=4))
    loop.run()
    assert method.fetched == [range(4 * step, 4 * step + 4) for step in range(STEPS)]
    assert [row["epoch"] for row in loop.places.train.rows()] == ["0", "1", "2", "2", "3", "4"]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_accumulation_gives_the_gradient_of_the_whole_step_with_uneven_weights(
    tmp_path: Path, count: int
) -> None:
    plain = nn.Linear(2, 1)
    start = {name: value.clone() for name, value in plain.state_dict().items()}
    whole, _ = line_loop(tmp_path / "a", line_config(batch_samples=7), network=plain, uneven=True)
    whole.run()
    other = nn.Linear(2, 1)
    other.load_state_dict(start)
    config = line_config(batch_samples=7, accumulate=count)
    apart, method = line_loop(tmp_path / "b", config, network=other, uneven=True)
    apart.run()
    assert torch.allclose(flat(other), flat(plain), atol=1e-6)
    assert [len(draws) for draws in method.fetched[:count]] == {
        2: [3, 4], 3: [2, 2, 3], 6: [1, 1, 1, 1, 1, 2],
    }[count]  # fmt: skip
    pairs = zip(last_rows(tmp_path / "a/train.csv"), last_rows(tmp_path / "b/train.csv"), strict=True)
    assert all(float(a["loss"]) == pytest.approx(float(b["loss"]), abs=1e-6) for a, b in pairs)


def test_a_batch_without_weight_changes_nothing_and_is_no_nan(tmp_path: Path) -> None:
    config = line_config(batch_samples=1, length="1 steps")  # draw 0 weighs nothing
    network = nn.Linear(2, 1)
    before = flat(network)
    loop, _ = line_loop(tmp_path, config, network=network, uneven=True)
    loop.run()
    assert torch.equal(flat(network), before)
    assert last_rows(tmp_path / "train.csv")[0]["loss"] == "0"


def test_two_parts_are_done_in_order_each_with_its_own_optimiser_and_columns(tmp_path: Path) -> None:
    second = nn.Linear(2, 1)
    before = flat(second)
    loop, method = line_loop(tmp_path, second=second)
    loop.run()
    row = last_rows(tmp_path / "train.csv")[-1]
    assert (row["lr"], row["lr_second"]) == ("0.01", "0.1")
    assert row["loss_second"]
    assert row["grad_norm_second"]
    assert not torch.equal(flat(second), before)
    assert len(method.fetched) == STEPS  # one batch for both
    alone, other = line_loop(tmp_path / "alone")
    alone.run()
    assert torch.equal(flat(other.network), flat(method.network))  # the second part did not disturb it
    assert (tmp_path / "checkpoints/last/second.safetensors").exists()


def test_scalars_are_logged_as_sum_over_weight_since_the_last_line(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path, line_config(log_every="3 steps"), uneven=True)
    loop.run()
    rows = last_rows(tmp_path / "train.csv")
    assert [row["step"] for row in rows] == ["3", "6"]
    assert [row["mean_weight"] for row in rows] == ["1.66666667"] * 2  # (0 + 1 + 4) / (0 + 1 + 2)


def test_clipping_cuts_the_gradient_and_logs_the_norm_before(tmp_path: Path) -> None:
    for clip in (0.0, 1e-3):
        torch.manual_seed(0)
        network = nn.Linear(2, 1)
        loop, _ = line_loop(
            tmp_path / str(clip), line_config(clip_norm=clip, length="1 steps"), network=network
        )
        loop.run()
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in network.parameters()])
        logged = float(last_rows(tmp_path / str(clip) / "train.csv")[0]["grad_norm"])
        assert logged > 0.1
        assert float(norm) == pytest.approx(clip or logged, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_trains_as_well(tmp_path: Path, precision: str) -> None:
    loop, method = line_loop(tmp_path, line_config(precision=precision))
    before = flat(method.network)
    loop.run()
    assert bool(torch.isfinite(flat(method.network)).all())
    assert not torch.equal(flat(method.network), before)
    assert loop.updates[0].scaler.is_enabled() == (precision == "fp16")


def test_clipping_sees_unscaled_gradients_in_fp16(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path, line_config(precision="fp16", length="12 steps", clip_norm=1e-3))
    loop.run()
    assert 0 < float(last_rows(tmp_path / "train.csv")[-1]["grad_norm"]) < 100  # the scale is 32,768


def test_the_first_validation_counts_for_best_and_mode_says_which_way(tmp_path: Path) -> None:
    scores = {1: 5.0, 2: 7.0, 3: 6.0}
    for mode, best in (("min", 2), ("max", 4)):
        config = line_config(best={"metric": "nll", "mode": mode})
        loop, _ = line_loop(tmp_path / mode, config, scores=scores.__getitem__)
        loop.run()
        assert (tmp_path / mode / "checkpoints/best").resolve().name == f"best_{best:08d}"
        assert (loop.state.best_step, loop.state.best) == (best, scores[best // 2])


def test_a_number_is_better_than_nan_and_nan_never_better(tmp_path: Path) -> None:
    scores = {1: float("nan"), 2: 3.0, 3: float("nan")}
    loop, _ = line_loop(tmp_path, scores=scores.__getitem__)
    loop.run()
    assert (loop.state.best_step, loop.state.best) == (4, 3.0)


def test_best_by_a_metric_that_nobody_measures_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"training\.best\.metric: Unknown metric 'iuo'.*'iou'.*Known: iou, nll"
    ):
        line_loop(tmp_path, line_config(best={"metric": "iuo"}))


def test_patience_ends_the_training_also_after_a_resume(tmp_path: Path) -> None:
    config = line_config(length="20 steps", patience=2)
    loop, _ = line_loop(tmp_path, config, scores=lambda number: 1.0 if number == 1 else 2.0)
    loop.run()
    assert loop.state.step == 6  # best at 2, nothing better at 4 and 6
    again, method = line_loop(tmp_path, config)
    assert again.resume()
    again.run()
    assert (again.state.step, method.fetched) == (6, [])


def test_a_stop_finishes_the_step_and_saves_last(tmp_path: Path) -> None:
    loop, method = line_loop(tmp_path)
    method.stop.asked = True
    with pytest.raises(Stopped):
        loop.run()
    assert (tmp_path / "checkpoints/last").resolve().name == "last_00000001"


def test_short_training_is_one_step_validated_and_saved(tmp_path: Path) -> None:
    loop, method = line_loop(tmp_path, line_config(short_training=True, length="100 epochs"))
    loop.run()
    assert (loop.state.step, method.validations, loop.steps) == (1, 1, 1)
    assert (tmp_path / "checkpoints/best").exists()


def test_a_fault_while_reading_ahead_comes_with_its_own_trace(tmp_path: Path) -> None:
    loop, method = line_loop(tmp_path)
    real = method.fetch

    def fetch(draws: range) -> torch.Tensor:
        if draws.start == 9:
            raise ValueError("volume_3.nii: is cut off")
        return real(draws)

    method.fetch = fetch  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="is cut off") as caught:
        loop.run()
    assert loop.state.step == 3  # the steps before it were made
    assert "fetch" in [entry.name for entry in caught.traceback]


def test_debug_reads_nothing_ahead(tmp_path: Path) -> None:
    loop, method = line_loop(tmp_path, line_config(debug=True))
    seen: list[int] = []
    real = loop.train_step

    def train_step() -> None:
        real()
        seen.append(len(method.fetched))

    loop.train_step = train_step  # type: ignore[method-assign]
    loop.run()
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_batch_too_small_for_its_micro_batches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="accumulate is 4, batch_samples 3"):
        line_config(accumulate=4)


def test_off_is_read_as_the_word_that_yaml_makes_false() -> None:
    assert line_config(compile=False).compile == "off"


def test_weights_that_need_no_gradient_stay_as_they_are(tmp_path: Path) -> None:
    network = line_network()
    network[0].requires_grad_(requires_grad=False)  # type: ignore[index]
    frozen = flat(network[0])  # type: ignore[index]
    loop, _ = line_loop(tmp_path, network=network)
    loop.run()
    assert torch.equal(flat(network[0]), frozen)  # type: ignore[index]
    assert len(loop.updates[0].weights) == 2


class Seeing:
    """A watcher that counts, and ends the run when it is told to."""

    def __init__(self, *, every: int, over_at: int = -1) -> None:
        self.every, self.over_at, self.looks = every, over_at, list[int]()

    @property
    def over(self) -> bool:
        return self.over_at in self.looks

    def look(self, step: int, /) -> dict[str, float]:
        torch.rand(5)  # must not move the training's generator
        self.looks.append(step)
        return {"iou": 100.0 + step}


def test_a_watcher_looks_before_the_first_step_at_its_own_cadence_and_shares_the_row(tmp_path: Path) -> None:
    loop, method = line_loop(tmp_path, line_config(validate_every="4 steps"))
    loop.watcher = Seeing(every=3)
    loop.run()
    rows = loop.places.val.rows()
    assert [(row["step"], row["iou"], bool(row["nll"])) for row in rows] == [
        ("0", "100", False), ("3", "103", False), ("4", "0.5", True), ("6", "106", True),
    ]  # fmt: skip
    plain, other = line_loop(tmp_path / "plain", line_config(validate_every="4 steps"))
    plain.run()
    assert torch.equal(flat(method.network), flat(other.network))


def test_a_watcher_can_end_the_run_which_is_then_validated_and_saved(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path, line_config(validate_every="6 steps"))
    loop.watcher = Seeing(every=1, over_at=2)
    loop.run()
    assert loop.state.step == loop.state.validated == 2
    assert (tmp_path / "checkpoints/last").resolve().name == "last_00000002"
    assert (tmp_path / "checkpoints/best").exists()


def test_a_resumed_run_is_not_watched_twice_after_one_step(tmp_path: Path) -> None:
    first, _ = line_loop(tmp_path, line_config(length="2 steps"))
    first.watcher = Seeing(every=2)
    first.run()
    again, _ = line_loop(tmp_path, line_config())
    again.watcher = Seeing(every=2)
    again.resume()
    again.run()
    assert again.watcher.looks == [4, 6]
