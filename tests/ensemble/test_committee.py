"""Networks asked together: stacked or one after the other, timed once, and kept."""

# ruff: noqa: N815 - tensors end in their axes, fields too
from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from pkgs.ensemble.committee import Committee, Form, faster_form, remembered_form
from pkgs.models.error_teacher import build_error_teacher


class Answer(NamedTuple):
    map_B1HW: Tensor
    number_B: Tensor


class Small(nn.Module):
    """A network with a buffer, like a teacher's recalibration."""

    def __init__(self, seed: int, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = nn.Conv2d(2, width, 3, padding=1), nn.Conv2d(width, 1, 1)
        self.register_buffer("slope", torch.tensor(1.0 + seed))

    def forward(self, image: Tensor, mask: Tensor) -> Answer:
        answer = self.slope * self.last(torch.tanh(self.first(torch.cat([image, mask], dim=1))))
        return Answer(answer, answer.mean(dim=(1, 2, 3)))


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 1, 8, 8, generator=generator), torch.rand(2, 1, 8, 8, generator=generator)


def members() -> list[nn.Module]:
    return [Small(seed) for seed in range(3)]


def test_both_forms_give_equal_answers_and_equal_gradients_of_the_mask() -> None:
    image, mask = batch()
    found = []
    for form in ("loop", "stacked"):
        asked = mask.clone().requires_grad_()
        answer = Committee(members(), form=form)(image, asked)
        (gradient,) = torch.autograd.grad(answer.map_B1HW.square().mean(), asked)
        found.append((answer.map_B1HW, answer.number_B, gradient))
    assert found[0][0].shape == (3, 2, 1, 8, 8)
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() < 1e-5


def test_both_forms_agree_for_error_teachers() -> None:
    teachers = [build_error_teacher("vit_error_map_light", seed=seed, size_px=32) for seed in (1, 2)]
    image, mask = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    loop, stacked = (Committee(teachers, form=form)(image, mask) for form in ("loop", "stacked"))
    assert (loop.share_B1HW - stacked.share_B1HW).abs().max() < 1e-5
    assert (loop.image_logits_B - stacked.image_logits_B).abs().max() < 1e-5


@pytest.mark.parametrize("form", ["loop", "stacked"])
def test_the_members_get_no_gradient_and_are_in_evaluation_mode(form: Form) -> None:
    committee = Committee(members(), form=form)
    image, mask = batch()
    committee(image, mask.requires_grad_()).map_B1HW.sum().backward()
    assert mask.grad is not None
    assert mask.grad.abs().max() > 0
    assert all(not p.requires_grad and p.grad is None for p in committee.parameters())
    assert not any(module.training for module in committee.modules())


@pytest.mark.parametrize("form", ["loop", "stacked"])
def test_train_mode_reaches_dropout_inside_the_members(form: Form) -> None:
    with_dropout = [nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5)) for _ in range(2)]
    committee, ones = Committee(with_dropout, form=form), torch.ones(16, 8)
    assert torch.equal(committee(ones), committee(ones))
    assert not torch.equal(committee.train()(ones), committee(ones))


def test_a_committee_follows_its_device_and_type_when_it_is_moved() -> None:
    image, mask = (tensor.double() for tensor in batch())
    assert Committee(members(), form="stacked").double()(image, mask).map_B1HW.dtype == torch.float64


def ticking(*seconds: float) -> Iterator[float]:
    """Yield times at which calls that take these seconds begin and end."""
    now = 0.0
    for taken in seconds:
        yield now
        now += taken
        yield now


@pytest.mark.parametrize(("stacked", "chosen"), [(0.5, "stacked"), (0.97, "loop"), (3.0, "loop")])
def test_stacking_is_chosen_only_where_the_first_batch_gains(stacked: float, chosen: Form) -> None:
    times = ticking(*(1.0, stacked) * 3)
    form, seconds = faster_form(members(), batch(), backward=True, clock=lambda: next(times))
    assert form == chosen
    assert seconds == {"loop": 1.0, "stacked": pytest.approx(stacked)}


def test_members_of_different_builds_are_asked_in_a_loop() -> None:
    different = [Small(1), Small(2, width=5)]
    form, seconds = faster_form(different, batch(), backward=False)
    assert form == "loop"
    assert list(seconds) == ["loop"]
    with pytest.raises(ValueError, match="Member 2 is built differently"):
        Committee(different, form="stacked")


def test_no_member_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one member"):
        Committee([])


def test_the_form_is_chosen_once_and_kept_for_the_run(tmp_path: Path) -> None:
    chosen = count()

    def choose() -> tuple[Form, dict[str, float]]:
        return ("stacked" if next(chosen) == 0 else "loop"), {"loop": 2.0, "stacked": 1.0}

    assert remembered_form(tmp_path / "committee.json", choose) == ("stacked", True)
    assert remembered_form(tmp_path / "committee.json", choose) == ("stacked", False)


def test_a_damaged_memory_is_chosen_anew(tmp_path: Path) -> None:
    (tmp_path / "committee.json").write_text("{")
    assert remembered_form(tmp_path / "committee.json", lambda: ("loop", {})) == ("loop", True)
