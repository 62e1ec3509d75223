"""Optimisers: what decays, what is left out, and LARS against values worked out by hand."""

from __future__ import annotations

import io
import math

import pytest
import torch
from torch import Tensor, nn

from pkgs.foundation.config import ConfigError, strict
from pkgs.training.config import OptimiserConfig
from pkgs.training.lars import Lars
from pkgs.training.optimisers import OPTIMISERS, build_optimiser, is_norm_or_bias, sqrt_rule_lr


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(), nn.Flatten(), nn.Linear(8, 1))


def config(name: str, **settings: object) -> OptimiserConfig:
    return OptimiserConfig.model_validate({"name": name, "lr": 0.1, **settings})


def step(optimiser: torch.optim.Optimizer, weight: nn.Parameter, gradient: Tensor) -> None:
    weight.grad = gradient.clone()
    optimiser.step()


# -- groups ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["radam", "adam", "adamw", "sgd"])
def test_all_parameters_decay_in_one_group_unless_asked_otherwise(name: str) -> None:
    module = network()
    (group,) = build_optimiser(config(name, weight_decay=0.1), module).param_groups
    assert group["params"] == list(module.parameters())
    assert group["weight_decay"] == 0.1


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_norms_biases_and_scalars_can_be_spared_from_decay(name: str) -> None:
    module = network()
    made = build_optimiser(config(name, weight_decay=0.1, decay_norm_and_bias=False), module)
    decaying, spared = made.param_groups
    assert decaying["params"] == [module[0].weight, module[4].weight]
    assert (decaying["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert len(spared["params"]) == 5


def test_lars_always_spares_them_and_gives_them_ratio_one() -> None:
    decaying, spared = build_optimiser(config("lars", weight_decay=0.1), network()).param_groups
    assert (decaying["weight_decay"], decaying["adapt"]) == (0.1, True)
    assert (spared["weight_decay"], spared["adapt"]) == (0.0, False)
    assert len(decaying["params"]) == 2


def test_a_table_of_positions_decays_and_a_wide_bias_does_not() -> None:
    assert not is_norm_or_bias("attn.relative_position_bias_table", nn.Parameter(torch.zeros(4, 2)))
    assert is_norm_or_bias("head.bias", nn.Parameter(torch.zeros(4, 2)))
    assert is_norm_or_bias("temperature", nn.Parameter(torch.zeros(())))


def test_frozen_parameters_are_left_out_and_shared_ones_come_once() -> None:
    module = network()
    module[0].requires_grad_(requires_grad=False)
    twice = [pair for _ in range(2) for pair in module.named_parameters()]
    (group,) = build_optimiser(config("adam"), twice).param_groups
    assert group["params"] == [weight for weight in module.parameters() if weight.requires_grad]


def test_parameters_without_names_will_do() -> None:
    module = network()
    (group,) = build_optimiser(config("radam"), module.parameters()).param_groups
    assert group["params"] == list(module.parameters())


def test_nothing_to_train_is_an_error() -> None:
    module = network().requires_grad_(requires_grad=False)
    with pytest.raises(
        ValueError, match="Nothing to train: 7 parameters were given and all of them are frozen"
    ):
        build_optimiser(config("adam"), module)


# -- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"name": "adam", "momentum": 0.9}, "momentum belongs to `sgd` and `lars`"),
        ({"name": "lars", "nesterov": True}, "nesterov belongs to `sgd`"),
        ({"name": "sgd", "nesterov": True}, "nesterov belongs to `sgd` with a momentum above 0"),
        ({"name": "sgd", "momentum": 1.0}, "less than 1"),
        ({"name": "adamw", "lr": 0}, "greater than 0"),
        ({"name": "lamb"}, "lars"),
        ({"weight_decays": 0.1}, "Did you mean 'weight_decay'"),
    ],
)
def test_a_setting_without_effect_or_out_of_range_is_refused(raw: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        strict(OptimiserConfig, raw, where="a.yaml")


def test_momentum_and_nesterov_reach_sgd() -> None:
    weight = nn.Parameter(torch.ones(2))
    (group,) = build_optimiser(config("sgd", momentum=0.9, nesterov=True), [weight]).param_groups
    assert (group["momentum"], group["nesterov"]) == (0.9, True)
    (plain,) = build_optimiser(config("sgd"), [weight]).param_groups
    assert (plain["momentum"], plain["nesterov"]) == (0, False)


def test_the_square_root_rule_gives_the_published_rate() -> None:
    assert sqrt_rule_lr(4096) == pytest.approx(4.8)


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_a_stopped_optimiser_goes_on_to_the_bit(name: str) -> None:
    def steps(optimiser: torch.optim.Optimizer, module: nn.Module, numbers: range) -> None:
        for number in numbers:
            optimiser.zero_grad()
            x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(number))
            module(x).square().mean().backward()
            optimiser.step()

    settings = config(name, weight_decay=0.01)
    whole, first, second = network(), network(), network()
    steps(build_optimiser(settings, whole), whole, range(6))
    stopped = build_optimiser(settings, first)
    steps(stopped, first, range(3))
    buffer = io.BytesIO()
    torch.save({"optimiser": stopped.state_dict(), "weights": first.state_dict()}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    second.load_state_dict(saved["weights"])
    resumed = build_optimiser(settings, second)
    resumed.load_state_dict(saved["optimiser"])
    steps(resumed, second, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_every_optimiser_lowers_a_parabola(name: str) -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimiser = build_optimiser(config(name), [weight])
    for _ in range(50):
        step(optimiser, weight, 2 * weight.detach())
    assert abs(weight.item()) < 1.5


# -- LARS --------------------------------------------------------------------------------------------------


def test_lars_matches_two_steps_worked_out_by_hand() -> None:
    # |w| = 5, d = g + 0.1 w = (0.3, 0.4) + (0.3, 0.4): |d| = 1; ratio 0.005, v = 2 x 0.005 d
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    optimiser = Lars([weight], lr=2.0, weight_decay=0.1)
    gradient = torch.tensor([[0.3, 0.4]], dtype=torch.float64)
    step(optimiser, weight, gradient)
    first = torch.tensor([[0.006, 0.008]], dtype=torch.float64)
    torch.testing.assert_close(weight.detach(), torch.tensor([[3.0, 4.0]], dtype=torch.float64) - first)
    # |w| = 4.99, |d| = 0.5 + 0.499: v = 0.9 x 0.01 + 2 x 0.001 x 4.99, all along (3, 4) / 5
    step(optimiser, weight, gradient)
    length = 4.99 - (0.9 * 0.01 + 2 * 0.001 * 4.99)
    assert weight.detach().norm().item() == pytest.approx(length, rel=1e-12)


def test_lars_takes_steps_of_the_same_size_whatever_the_size_of_the_gradient() -> None:
    ends = []
    for scale in (1.0, 1000.0):
        weight = nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
        step(Lars([weight], lr=1.0), weight, scale * torch.tensor([[1.0, -2.0]], dtype=torch.float64))
        ends.append(weight.detach())
    torch.testing.assert_close(ends[0], ends[1])


def test_lars_without_ratio_is_gradient_descent_with_momentum() -> None:
    ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(2))
    lars = Lars([{"params": [ours], "adapt": False}], lr=0.1, weight_decay=0.01)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, weight_decay=0.01)
    for number in range(5):
        gradient = torch.tensor([0.5, number], dtype=torch.float64)
        step(lars, ours, gradient)
        step(sgd, theirs, gradient)
    torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=1e-14, atol=0)


def test_lars_trains_a_parameter_whose_norm_is_zero() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    step(Lars([weight], lr=0.1, weight_decay=0.5), weight, torch.ones(2, 2))
    assert torch.equal(weight.detach(), torch.full((2, 2), -0.1))


def test_lars_leaves_a_weight_whose_direction_is_zero() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    step(Lars([weight], lr=0.1), weight, torch.zeros(2, 2))
    assert torch.equal(weight.detach(), torch.ones(2, 2))


def test_lars_passes_over_parameters_without_a_gradient() -> None:
    idle, weight = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    step(Lars([idle, weight], lr=0.1), weight, torch.ones(2, 2))
    assert torch.equal(idle.detach(), torch.ones(2, 2))
    assert not torch.equal(weight.detach(), torch.ones(2, 2))


def test_lars_never_reads_a_norm_back_to_the_host() -> None:
    module = network().to("meta")  # tensors without data: whoever reads a value fails
    optimiser = build_optimiser(config("lars", weight_decay=0.1), module)
    for _ in range(2):
        for weight in module.parameters():
            weight.grad = torch.empty_like(weight)
        optimiser.step()
    assert all(state["velocity"].is_meta for state in optimiser.state.values())


def test_lars_keeps_the_rate_inside_the_momentum_so_that_a_new_rate_acts_on_new_gradients_only() -> None:
    weight = nn.Parameter(torch.tensor([[2.0]], dtype=torch.float64))
    optimiser = Lars([{"params": [weight], "adapt": False}], lr=0.1)
    step(optimiser, weight, torch.ones(1, 1, dtype=torch.float64))
    optimiser.param_groups[0]["lr"] = 0.0
    step(optimiser, weight, torch.ones(1, 1, dtype=torch.float64))
    assert math.isclose(weight.item(), 2 - 0.1 - 0.09)
