"""Two processes make the steps that one makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pkgs.training.config import TrainingConfig
from pkgs.training.nan import NotFiniteError
from pkgs.training.ranks import Ranks, check_shares, join, without_effect
from pkgs.training.stop import Stopped
from tests.builders.lines import CPU, flat, last_rows, line_config, line_loop
from tests.builders.ranks import in_ranks


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def test_shares_are_neighbours_that_make_up_the_step_unpadded() -> None:
    shares = [Ranks(CPU, rank=rank, world=3).share(range(10, 17)) for rank in range(3)]
    assert shares == [range(10, 12), range(12, 14), range(14, 17)]


@pytest.mark.parametrize(("batch", "accumulate"), [(8, 1), (7, 1), (9, 2)])
def test_two_processes_equal_one_with_the_same_batch_over_fifty_steps(
    tmp_path: Path, batch: int, accumulate: int
) -> None:
    settings = {"length": "50 steps", "validate_every": "25 steps", "batch_samples": batch}
    config = line_config(**settings, accumulate=accumulate, clip_norm=0.5)

    def act(ranks: Ranks) -> object:
        loop, method = line_loop(
            tmp_path / "two", config, ranks=ranks, network=network(), uneven=True, samples=20
        )
        loop.run()
        return {"weights": flat(method.network), "first": [method.fetched[0].start, method.fetched[0].stop]}

    first, second = in_ranks(tmp_path / "meet", act)
    one, method = line_loop(
        tmp_path / "one", line_config(**settings, clip_norm=0.5), network=network(), uneven=True, samples=20
    )
    one.run()
    rows = [last_rows(tmp_path / name / "train.csv") for name in ("one", "two")]
    assert len(rows[1]) == 50
    assert all(
        float(a[name]) == pytest.approx(float(b[name]), abs=1e-5)
        for a, b in zip(*rows, strict=True)
        for name in ("loss", "grad_norm", "mean_weight")
    )
    assert torch.equal(first["weights"], second["weights"])  # type: ignore[index]
    assert torch.allclose(first["weights"], flat(method.network), atol=1e-5)  # type: ignore[index]
    assert first["first"][1] <= second["first"][0]  # type: ignore[index]


def test_a_stop_asked_of_one_process_ends_all_after_the_same_step_and_the_resume_is_exact(
    tmp_path: Path,
) -> None:
    def act(folder: Path, *, stopped: bool) -> list[object]:
        def train(ranks: Ranks) -> object:
            loop, method = line_loop(folder, ranks=ranks)  # with dropout, so generators matter
            torch.manual_seed(ranks.rank)
            loop.resume()
            real = loop.log

            def log() -> None:
                real()
                method.stop.asked = ranks.rank == 1 and loop.state.step == 3

            if stopped:
                loop.log = log  # type: ignore[method-assign]
                with pytest.raises(Stopped):
                    loop.run()
            else:
                loop.run()
            return {"step": loop.state.step, "weights": flat(method.network)}

        return in_ranks(folder / f"meet_{stopped}", train)

    assert [answer["step"] for answer in act(tmp_path / "a", stopped=True)] == [3, 3]  # type: ignore[index]
    assert (tmp_path / "a/checkpoints/last").resolve().name == "last_00000003"
    again, whole = act(tmp_path / "a", stopped=False), act(tmp_path / "b", stopped=False)
    assert torch.equal(again[0]["weights"], whole[0]["weights"])  # type: ignore[index]
    assert last_rows(tmp_path / "a/train.csv") == last_rows(tmp_path / "b/train.csv")


def test_a_bad_share_of_one_process_holds_all_back_and_all_shares_are_kept(tmp_path: Path) -> None:
    def act(ranks: Ranks) -> object:
        loop, method = line_loop(tmp_path / "run", line_config(batch_samples=4), ranks=ranks, poison=11)
        with pytest.raises(NotFiniteError):
            loop.run()
        return {"step": loop.state.step, "finite": bool(flat(method.network).isfinite().all())}

    assert in_ranks(tmp_path / "meet", act) == [{"step": 2, "finite": True}] * 2
    kept = tmp_path / "run/attempts/1/nan"
    assert sorted(path.name for path in kept.glob("batch*")) == ["batch_0.safetensors", "batch_1.safetensors"]
    replaying, _ = line_loop(tmp_path / "run", line_config(batch_samples=4), poison=11)
    assert "loss nan" in "\n".join(replaying.replay(kept))


def test_sums_of_several_dtypes_gathers_and_buffers(tmp_path: Path) -> None:
    def act(ranks: Ranks) -> object:
        tensors = [torch.full((2, 3), ranks.rank + 1.0), torch.full((4,), ranks.rank + 1.0).double()]
        ranks.sum_all(tensors)
        norm = nn.BatchNorm1d(2)
        norm.running_mean.fill_(ranks.rank + 5)  # type: ignore[union-attr]
        ranks.take_buffers_of_first({"n": norm})
        return [
            *tensors,
            norm.running_mean,
            ranks.gathered({"r": ranks.rank}),
            ranks.any(flag=ranks.rank == 1),
        ]

    for answer in in_ranks(tmp_path, act):
        assert torch.equal(answer[0], torch.full((2, 3), 3.0))  # type: ignore[index]
        assert torch.equal(answer[1], torch.full((4,), 3.0).double())  # type: ignore[index]
        assert torch.equal(answer[2], torch.full((2,), 5.0))  # type: ignore[index]
        assert answer[3:] == [[{"r": 0}, {"r": 1}], True]  # type: ignore[index]


def test_what_the_first_writes_the_others_find_written(tmp_path: Path) -> None:
    def act(ranks: Ranks) -> object:
        with ranks.first_goes_first():
            path = tmp_path / "split.csv"
            found = path.exists()
            path.write_text("x")
        return found

    assert in_ranks(tmp_path / "meet", act) == [False, True]


def test_a_resume_with_another_number_of_processes_says_what_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(ranks: Ranks) -> object:
        loop, _ = line_loop(tmp_path / "run", ranks=ranks)
        loop.run()
        return None

    in_ranks(tmp_path / "meet", act)
    loop, _ = line_loop(tmp_path / "run")
    assert loop.resume()
    assert "`last` is from 2 processes, now there are 1: batches stay the same" in capsys.readouterr().out


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_samples is 3: too few for 2 processes with 2.*at least 4"):
        check_shares(Ranks(CPU, world=2), TrainingConfig(batch_samples=3, accumulate=2))


def test_under_torchrun_another_wish_than_ddp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("MASTER_PORT", "1")
    with pytest.raises(ValueError, match="parallel is dp, but torchrun started this process"):
        join(TrainingConfig(parallel="dp"), device=CPU)


def test_a_process_without_a_gpu_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="a process for GPU 2, but torch sees 2"):
        join(TrainingConfig(), device=torch.device("cuda"))


@pytest.mark.parametrize(("wish", "replicas"), [("auto", True), ("dp", True), ("none", False)])
def test_several_gpus_are_used_by_replicas_unless_none_is_wished(
    monkeypatch: pytest.MonkeyPatch, wish: str, *, replicas: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = TrainingConfig.model_validate({"parallel": wish})
    assert join(config, device=torch.device("cuda")).replicas is replicas
    assert join(config, device=CPU).replicas is False


def test_settings_without_effect_are_told() -> None:
    said = without_effect(TrainingConfig(parallel="dp", processes=2), Ranks(CPU))
    assert len(said) == 2
    assert "there are not several GPUs" in said[0]
    assert without_effect(TrainingConfig(), Ranks(CPU)) == []
