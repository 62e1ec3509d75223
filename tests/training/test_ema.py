"""The moving average: its warm-up, what it copies, held-back steps, resume and evaluation."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pkgs.training.ema import Ema


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))


def batch(number: int) -> Tensor:
    return torch.rand(4, 3, generator=torch.Generator().manual_seed(number))


def train(module: nn.Module, ema: Ema, numbers: range) -> None:
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for number in numbers:
        optimiser.zero_grad()
        module(batch(number)).square().mean().backward()
        optimiser.step()
        ema.update()


def values(module: nn.Module) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in (*module.parameters(), *module.buffers())]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def set_to(module: nn.Module, value: float) -> None:
    with torch.no_grad():
        for weight in module.parameters():
            weight.fill_(value)


def test_two_updates_match_values_worked_out_by_hand() -> None:
    # d_0 = 1/10 and d_1 = 2/11: 0 -> 0.9 x 1, then 0.9 + 9/11 (2 - 0.9)
    module = nn.Linear(1, 1)
    set_to(module, 0.0)
    ema = Ema(module, decay=0.999)
    set_to(module, 1.0)
    ema.update()
    assert ema.module.weight.item() == pytest.approx(0.9)
    set_to(module, 2.0)
    ema.update()
    assert ema.module.weight.item() == pytest.approx(0.9 + 9 / 11 * 1.1)


def test_after_the_warm_up_the_decay_is_the_one_asked_for() -> None:
    module = nn.Linear(1, 1)
    set_to(module, 0.0)
    ema = Ema(module, decay=0.5)
    ema.updates.fill_(1000)
    set_to(module, 1.0)
    ema.update()
    assert ema.module.weight.item() == 0.5


def test_without_decay_the_average_is_the_network() -> None:
    module = network()
    ema = Ema(module, decay=0.0)
    train(module, ema, range(3))
    for ours, theirs in zip(values(ema.module), values(module), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_an_average_of_equal_weights_stays_equal_to_the_bit() -> None:
    module = network()
    ema = Ema(module, decay=0.99)
    for _ in range(5):
        ema.update()
    assert same(values(ema.module), values(module))


def test_buffers_are_copied_whatever_their_type() -> None:
    module = network()
    ema = Ema(module, decay=0.9)
    train(module, ema, range(3))
    assert same(list(ema.module.buffers()), list(module.buffers()))
    assert ema.module[1].num_batches_tracked.item() == 3


def test_a_step_that_was_held_back_changes_nothing_and_is_not_counted() -> None:
    module = network()
    ema = Ema(module, decay=0.9)
    train(module, ema, range(2))
    before = values(ema.module)
    with torch.no_grad():
        module[1].running_mean.fill_(float("nan"))  # the forward pass of the bad batch left this
    ema.update(torch.tensor(0) > 0)
    assert same(values(ema.module), before)
    assert ema.updates.item() == 2


def test_a_flag_on_the_device_gives_the_bits_of_a_plain_step() -> None:
    plain, flagged = network(), network()
    averages = Ema(plain, decay=0.9), Ema(flagged, decay=0.9)
    for module in (plain, flagged):
        set_to(module, 0.3)
    averages[0].update()
    averages[1].update(torch.tensor(1) > 0)
    assert same(values(averages[0].module), values(averages[1].module))


def test_an_update_reads_no_value_back_to_the_host() -> None:
    module = network().to("meta")  # tensors without data: whoever reads a value fails
    ema = Ema(module, decay=0.9)
    ema.update()
    ema.update(torch.empty((), dtype=torch.bool, device="meta"))
    assert ema.updates.is_meta


def test_a_stopped_average_goes_on_to_the_bit() -> None:
    whole, first, second = network(), network(), network()
    never_stopped = Ema(whole, decay=0.9)
    train(whole, never_stopped, range(6))
    stopped = Ema(first, decay=0.9)
    train(first, stopped, range(3))
    buffer = io.BytesIO()
    torch.save({"ema": stopped.state_dict(), "weights": first.state_dict()}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    resumed = Ema(second, decay=0.9)
    second.load_state_dict(saved["weights"])
    resumed.load_state_dict(saved["ema"])
    train(second, resumed, range(3, 6))
    assert same(values(resumed.module), values(never_stopped.module))
    assert same(values(second), values(whole))


def test_the_average_is_swapped_in_for_evaluation_and_out_again() -> None:
    module = network()
    ema = Ema(module, decay=0.9)
    train(module, ema, range(4))
    before, average = values(module), values(ema.module)
    with ema.swapped_in() as swapped:
        assert swapped is module
        assert same(values(module), average)
    assert same(values(module), before)
    assert same(values(ema.module), average)


def test_an_evaluation_that_fails_gives_the_weights_back(tmp_path: Path) -> None:
    module = network()
    ema = Ema(module, decay=0.9)
    train(module, ema, range(4))
    before = values(module)
    with pytest.raises(FileNotFoundError), ema.swapped_in():
        (tmp_path / "absent").read_bytes()
    assert same(values(module), before)


def test_the_average_neither_learns_nor_moves_its_statistics() -> None:
    ema = Ema(network(), decay=0.9)
    before = values(ema.module)
    assert not ema.module(batch(0)).requires_grad
    assert same(values(ema.module), before)


def test_networks_in_double_precision_are_averaged_as_well() -> None:
    module = network().double()
    ema = Ema(module, decay=0.9)
    set_to(module, 1.0)
    ema.update()
    assert ema.module[0].weight.dtype == torch.float64


def test_the_average_of_another_network_is_refused() -> None:
    ema = Ema(network(), decay=0.9)
    with pytest.raises(RuntimeError, match="Missing key"):
        Ema(nn.Linear(5, 5), decay=0.9).load_state_dict({**ema.state_dict(), "weights": {}})


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_that_never_follows_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="ema decay must be at least 0 and below 1"):
        Ema(network(), decay=decay)


def test_without_warm_up_the_average_is_held_from_the_first_step_on() -> None:
    module = nn.Linear(1, 1, bias=False)
    ema = Ema(module, decay=0.9, warm_up=False)
    start = module.weight.item()
    with torch.no_grad():
        module.weight += 1
    ema.update()
    assert ema.module.weight.item() == pytest.approx(start + 0.1)
