"""The NaN guard, read at once as on a CPU and late as on a GPU; and what it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from pkgs.foundation.files import read_json
from pkgs.training.guard import Guard, Tripped
from pkgs.training.loop import Loop
from pkgs.training.nan import NotFiniteError
from tests.builders.lines import CPU, Line, flat, last_rows, line_config, line_loop, line_network

BAD_DRAW, BAD_STEP = 10, 3


def until_it_trips(folder: Path, *, late: bool, **traps: object) -> tuple[Loop[torch.Tensor], Line]:
    """Train on a poisoned draw, reading the mark only at the end where the guard is late."""
    config = line_config(log_every="6 steps", validate_every="6 steps")
    loop, method = line_loop(folder, config, poison=BAD_DRAW, **traps)
    loop.guard.late = late
    with pytest.raises(NotFiniteError, match=r"not finite at step 4 of 6.*lr"):
        loop.run()
    return loop, method


def weights_before(step: int, folder: Path) -> torch.Tensor:
    loop, method = line_loop(folder, line_config(length=f"{step} steps"))
    loop.run()
    return flat(method.network)


@pytest.mark.parametrize("late", [False, True])
def test_a_bad_update_and_all_later_ones_are_held_back(tmp_path: Path, *, late: bool) -> None:
    loop, method = until_it_trips(tmp_path / "a", late=late)
    assert loop.state.step == (6 if late else 3)
    assert torch.equal(flat(method.network), weights_before(BAD_STEP, tmp_path / "b"))


@pytest.mark.parametrize("late", [False, True])
def test_the_evidence_is_the_bad_batch_and_the_weights_before_it(tmp_path: Path, *, late: bool) -> None:
    until_it_trips(tmp_path / "a", late=late)
    kept = tmp_path / "a/attempts/1/nan"
    assert sorted(path.name for path in kept.iterdir()) == [
        "about.json", "batch.safetensors", "state.pt", "student.safetensors",
    ]  # fmt: skip
    assert torch.isnan(safetensors.torch.load_file(kept / "batch.safetensors")["x"][1, 0])
    about = read_json(kept / "about.json")
    assert about == {
        "step": BAD_STEP, "part": "student", "draws": [[9, 12]],
        "replay": ["train", "--replay-nan", str(kept)],
    }  # fmt: skip
    stored = safetensors.torch.load_file(kept / "student.safetensors")
    fresh = line_network()
    fresh.load_state_dict(stored)
    assert torch.equal(flat(fresh), weights_before(BAD_STEP, tmp_path / "b"))


@pytest.mark.parametrize("late", [False, True])
def test_the_kept_generators_are_those_of_the_bad_update(tmp_path: Path, *, late: bool) -> None:
    until_it_trips(tmp_path / "a", late=late)
    state = torch.load(tmp_path / "a/attempts/1/nan/state.pt", weights_only=True)
    good, _ = line_loop(tmp_path / "b", line_config(length=f"{BAD_STEP} steps"))
    good.run()
    assert torch.equal(state["generators"]["cpu"], torch.get_rng_state())


def test_the_late_guard_changes_no_bit_of_a_good_run(tmp_path: Path) -> None:
    networks = []
    for late in (False, True):
        network = nn.Sequential(line_network(), nn.BatchNorm1d(1))
        loop, _ = line_loop(tmp_path / str(late), network=network)
        loop.guard.late = late
        loop.run()
        networks.append(network)
    assert torch.equal(flat(networks[0]), flat(networks[1]))
    assert all(torch.equal(a, b) for a, b in zip(networks[0].buffers(), networks[1].buffers(), strict=True))
    assert last_rows(tmp_path / "False/train.csv") == last_rows(tmp_path / "True/train.csv")


@pytest.mark.parametrize("late", [False, True])
def test_running_statistics_are_not_spoilt_by_the_bad_batch(tmp_path: Path, *, late: bool) -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    loop, _ = line_loop(
        tmp_path, line_config(log_every="6 steps", validate_every="6 steps"), network=network, poison=BAD_DRAW
    )
    loop.guard.late = late
    with pytest.raises(NotFiniteError):
        loop.run()
    assert all(bool(buffer.isfinite().all()) for buffer in network.buffers())
    assert int(network[0].num_batches_tracked) == BAD_STEP  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", ["save", "validate"])
def test_nothing_is_saved_or_measured_after_a_bad_update_that_was_not_read(
    tmp_path: Path, asked: str
) -> None:
    cadence = {"save": {"save_every": "4 steps"}, "validate": {"validate_every": "4 steps"}}[asked]
    config = line_config(**{"log_every": "6 steps", "validate_every": "6 steps", **cadence})
    loop, method = line_loop(tmp_path, config, poison=BAD_DRAW)
    loop.guard.late = True
    with pytest.raises(NotFiniteError):
        loop.run()
    assert (loop.state.step, method.validations) == (4, 0)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_any_width_and_layout_survive_a_step_that_makes_them_nan(
    dtype: torch.dtype, *, late: bool
) -> None:
    weight = nn.Parameter(torch.rand(2, 3, 4, 4, dtype=dtype).to(memory_format=torch.channels_last))
    weight.grad = torch.full_like(weight, torch.nan)
    before = weight.detach().clone()
    guard = Guard([], device=CPU, late=late)
    guard.before(7)

    def step() -> None:
        with torch.no_grad():
            weight.add_(weight.grad).add_(1)

    if late:
        guard.make(7, watched=torch.tensor(torch.nan), weights=[weight], step=step)
    with pytest.raises(Tripped) as caught:
        guard.check() if late else guard.make(7, watched=torch.tensor(torch.inf), weights=[weight], step=step)
    assert caught.value.update == 7
    assert torch.equal(weight, before)


def test_the_first_of_several_bad_updates_is_the_one_that_is_told() -> None:
    guard = Guard([], device=CPU, late=True)
    for number, value in enumerate([1.0, torch.nan, 1.0, torch.inf]):
        guard.before(number)
        guard.make(number, watched=torch.tensor(value), weights=[], step=lambda: None)
    with pytest.raises(Tripped) as caught:
        guard.check()
    assert caught.value.update == 1


def test_the_second_part_of_a_step_trips_under_its_own_name(tmp_path: Path) -> None:
    second = nn.Linear(2, 1)
    loop, method = line_loop(tmp_path, second=second)
    with torch.no_grad():
        second.weight.fill_(torch.inf)
    before = flat(method.network)
    with pytest.raises(NotFiniteError, match=r"step 1 of 6 \(part second\)"):
        loop.run()
    assert not torch.equal(flat(method.network), before)  # the first part's update was good


def test_gradients_that_overflow_trip_although_the_loss_is_finite(tmp_path: Path) -> None:
    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(_: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(_: object, gradient: torch.Tensor) -> torch.Tensor:
            return gradient * torch.inf

    class Bend(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Steep.apply(x)  # type: ignore[no-untyped-call,no-any-return]

    loop, _ = line_loop(tmp_path, network=nn.Sequential(nn.Linear(2, 1), Bend()))
    with pytest.raises(NotFiniteError, match="step 1 of 6"):
        loop.run()


def test_fp16_skips_and_counts_and_many_skips_in_a_row_are_a_trip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pkgs.training.updates.SKIPPED_IN_ROW", 3)
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.fill_(1e3)  # gradients beyond 65,504 once they are scaled
    before = flat(network)
    loop, _ = line_loop(tmp_path, line_config(precision="fp16"), network=network)
    with pytest.raises(NotFiniteError, match="fp16 skipped the last 3 updates"):
        loop.run()
    assert loop.updates[0].skipped == 3
    assert torch.equal(flat(network), before)


def test_a_skipped_step_is_not_told_to_followers(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path, line_config(precision="fp16", length="12 steps"))
    followed: list[Tensor | None] = []

    class Follower:
        def update(self, happened: Tensor | None) -> None:
            followed.append(happened)

        def state_dict(self) -> dict[str, object]:
            return {}

        def load_state_dict(self, state: object) -> None: ...

    loop.followers["f"] = Follower()
    loop.run()
    assert loop.updates[0].skipped > 0
    assert len(followed) == 12 - loop.updates[0].skipped


def test_the_replay_finds_the_same_loss_and_says_what_is_not_finite(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path, poison=BAD_DRAW)
    with pytest.raises(NotFiniteError):
        loop.run()
    fresh, _ = line_loop(tmp_path, poison=BAD_DRAW)
    said = "\n".join(fresh.replay(tmp_path / "attempts/1/nan"))
    assert "Step 4, part student: loss nan in sum." in said
    assert "The batch is the same, to the bit; not finite in it: x." in said
    assert "Gradients that are not finite: student.0.weight" in said


def test_the_replay_says_when_the_data_have_changed(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path, poison=BAD_DRAW)
    with pytest.raises(NotFiniteError):
        loop.run()
    mended, _ = line_loop(tmp_path)
    said = "\n".join(mended.replay(tmp_path / "attempts/1/nan"))
    assert "another one: data or settings have changed" in said
    assert "not finite: none" in said


def test_a_folder_without_evidence_is_refused(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path)
    with pytest.raises(ValueError, match=r"about.json is missing.*attempts/<k>/nan"):
        loop.replay(tmp_path / "nowhere")
