"""NT-Xent, tested five ways, and over two processes."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from pkgs.losses.contrastive import nt_xent_sum

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("images", [2, 5, 512])
def test_equal_projections_give_the_logarithm_of_all_candidates(images: int) -> None:
    total, weight, negatives = nt_xent_sum(torch.ones(images, 3), torch.ones(images, 3))
    assert negatives == 2 * images - 2
    assert (total / weight).item() == pytest.approx(math.log(1 + negatives), rel=1e-5)


def test_the_oracles_of_512_images() -> None:
    equal = nt_xent_sum(torch.ones(512, 3), torch.ones(512, 3))
    aligned = nt_xent_sum(torch.eye(512), torch.eye(512))
    assert (equal.total / equal.weight).item() == pytest.approx(6.9305, abs=5e-5)
    assert (aligned.total / aligned.weight).item() == pytest.approx(4.9367, abs=5e-5)
    assert aligned.negatives == 1022


def test_the_matrix_product_agrees_with_the_definition_anchor_by_anchor() -> None:
    first, second = torch.randn(4, 6).double(), torch.randn(4, 6).double()
    every = F.normalize(torch.cat([first, second]), dim=1)
    losses = []
    for i in range(8):
        scores = [float(every[i] @ every[k]) / 0.2 for k in range(8)]
        others = sum(math.exp(scores[k]) for k in range(8) if k != i)
        losses.append(-math.log(math.exp(scores[(i + 4) % 8]) / others))
    assert nt_xent_sum(first, second, temperature=0.2).total.item() == pytest.approx(sum(losses))


def test_lengths_order_and_the_swap_of_views_change_nothing() -> None:
    first, second = torch.randn(6, 5).double(), torch.randn(6, 5).double()
    order = torch.randperm(6)
    base = nt_xent_sum(first, second).total
    assert torch.allclose(base, nt_xent_sum(3 * first, 0.1 * second).total)
    assert torch.allclose(base, nt_xent_sum(first[order], second[order]).total)
    assert torch.allclose(base, nt_xent_sum(second, first).total)


def test_one_image_without_negatives_costs_nothing() -> None:
    assert nt_xent_sum(torch.randn(1, 4), torch.randn(1, 4)).total.item() == pytest.approx(0, abs=1e-6)


def test_the_gradient_is_right_in_double_precision() -> None:
    first = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    second = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: nt_xent_sum(a, b).total, (first, second))


def test_half_precision_projections_are_compared_in_single() -> None:
    first, second = torch.randn(8, 16), torch.randn(8, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = nt_xent_sum(first, second).total
    assert torch.equal(found, nt_xent_sum(first, second).total)
    assert nt_xent_sum(first.bfloat16(), second.bfloat16()).total.dtype == torch.float32


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (torch.ones(2, 1), torch.ones(2), "must have the same shape"),
        (torch.ones(2), torch.ones(2), r"must be \[B, D\]"),
        (torch.ones(0, 2), torch.ones(0, 2), "B > 0"),
    ],
)
def test_wrong_shapes_are_refused(first: torch.Tensor, second: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        nt_xent_sum(first, second)


def test_gathering_without_processes_says_how_to_start_them() -> None:
    with pytest.raises(ValueError, match="torchrun"):
        nt_xent_sum(torch.ones(2, 2), torch.ones(2, 2), gathered=True)
    with pytest.raises(ValueError, match="temperature is 0"):
        nt_xent_sum(torch.ones(2, 2), torch.ones(2, 2), temperature=0)


WORKER = """
import sys, torch, torch.distributed as dist
from pkgs.losses.contrastive import nt_xent_sum
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
first, second = torch.load(f"{folder}/views.pt", weights_only=True)
own = slice(3 * rank, 3 * rank + 3)
a, b = first[own].clone().requires_grad_(), second[own].clone().requires_grad_()
found = nt_xent_sum(a, b, gathered=True)
found.total.backward()
torch.save({"total": found.total.detach(), "a": a.grad, "b": b.grad, "negatives": found.negatives},
           f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""


def test_two_processes_give_loss_and_gradient_of_one_with_the_whole_batch(tmp_path: Path) -> None:
    first = torch.randn(6, 5, dtype=torch.double, requires_grad=True)
    second = torch.randn(6, 5, dtype=torch.double, requires_grad=True)
    torch.save((first.detach(), second.detach()), tmp_path / "views.pt")
    command = [sys.executable, "-c", WORKER]
    workers = [subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=ROOT) for rank in (0, 1)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    whole = nt_xent_sum(first, second)
    whole.total.backward()
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert torch.allclose(whole.total, parts[0]["total"] + parts[1]["total"])
    assert [part["negatives"] for part in parts] == [10, 10]
    assert torch.allclose(first.grad, torch.cat([part["a"] for part in parts]))
    assert torch.allclose(second.grad, torch.cat([part["b"] for part in parts]))
