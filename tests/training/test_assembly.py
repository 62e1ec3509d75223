"""What a run begins with, and what all methods build from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pkgs.training.ranks import Ranks
from pkgs.training.stop import Stopped
from tests.builders.line_program import LineConfig, Study, start_of
from tests.builders.lines import CPU, TRAIN, VAL, Line, line_config, line_network


@pytest.fixture(autouse=True)
def own_generator() -> None:
    torch.manual_seed(0)


def test_a_stop_during_a_long_work_leaves_at_once_alone_and_with_others_at_the_end_of_a_step(
    tmp_path: Path,
) -> None:
    for ranks in (Ranks(CPU), Ranks(CPU, rank=1, world=2)):
        start = start_of(tmp_path, Study(), ranks=ranks)
        start.check()
        start.stop.asked = True
        if ranks.world > 1:
            start.check()
            continue
        with pytest.raises(Stopped):
            start.check()


def test_only_the_first_process_lists_bad_samples(tmp_path: Path) -> None:
    first, second = (start_of(tmp_path, Study(), ranks=Ranks(CPU, rank=rank)) for rank in range(2))
    assert first.bad_file == tmp_path / "bad_samples.csv"
    assert second.bad_file is None


@pytest.mark.parametrize(("length", "draws"), [("6 steps", 18), ("2 epochs", 21)])
def test_a_run_has_as_many_draws_as_its_steps_have_samples(tmp_path: Path, length: str, draws: int) -> None:
    config = LineConfig(training=line_config(length=length))  # batches of 3
    assert start_of(tmp_path, Study(), ranks=Ranks(CPU), config=config).draws(10) == draws


def test_dropout_draws_by_seed_and_process(tmp_path: Path) -> None:
    drawn = []
    for rank in (0, 0, 1):
        start_of(tmp_path, Study(), ranks=Ranks(CPU, rank=rank)).after_networks()
        drawn.append(torch.rand(8))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_settings_without_effect_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = LineConfig(training=line_config(parallel="dp"))
    start_of(tmp_path, Study(), ranks=Ranks(CPU), config=config).after_networks()
    assert "Warning: training.parallel" in capsys.readouterr().out


def test_the_average_goes_along_as_ema_beside_what_the_method_brings(tmp_path: Path) -> None:
    start = start_of(
        tmp_path, Study(), ranks=Ranks(CPU), config=LineConfig(training=line_config(ema_decay=0.9))
    )
    method = Line(line_network())
    average, other = start.average(method.network), start.average(method.network)
    assert average is not None
    assert other is not None
    loop = start.loop(
        method,
        fingerprint="d1",
        model="line",
        train=TRAIN,
        val=VAL,
        average=average,
        followers={"other": other},
    )
    assert loop.followers == {"other": other, "ema": average}
    assert loop.places.command[:3] == ("python", "-m", "pkgs.line")


def test_without_a_decay_there_is_no_average(tmp_path: Path) -> None:
    start = start_of(tmp_path, Study(), ranks=Ranks(CPU))
    assert start.average(line_network()) is None
