"""The criterion inside the replica."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pkgs.losses.segmentation import IGNORE, bce_sum
from pkgs.training.replicas import Replica, pick_device, spread


def test_loss_and_weight_have_one_number_per_replica() -> None:
    total, weight = Replica(nn.Conv2d(1, 1, 1), bce_sum)(torch.rand(2, 1, 4, 4), torch.ones(2, 4, 4).byte())
    assert total.shape == weight.shape == (1,)
    assert weight.item() == 32


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_shards_of_unequal_size_and_weight_give_the_gradient_of_the_whole_batch(cut: int) -> None:
    torch.manual_seed(0)
    replica = Replica(nn.Conv2d(1, 1, 3, padding=1), bce_sum)
    image, label = torch.rand(4, 1, 8, 8), torch.randint(0, 2, (4, 8, 8)).byte()
    label[0, :6] = IGNORE
    whole_total, whole_weight = replica(image, label)
    whole = torch.autograd.grad((whole_total.sum() / whole_weight.sum()), replica.network.weight)[0]
    shards = [replica(image[:cut], label[:cut]), replica(image[cut:], label[cut:])]
    totals, weights = (torch.cat(column) for column in zip(*shards, strict=True))  # what gathering does
    apart = torch.autograd.grad(totals.sum() / weights.sum(), replica.network.weight)[0]
    assert torch.allclose(whole, apart, atol=1e-7)


def test_data_parallel_is_bypassed_on_a_cpu_and_used_on_several_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica(nn.Conv2d(1, 1, 1), bce_sum)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(nn, "DataParallel", lambda module: ("parallel", module))
    assert spread(replica, torch.device("cpu")) is replica
    assert spread(replica, torch.device("cuda")) == ("parallel", replica)


def test_weights_keep_their_names_for_the_checkpoint() -> None:
    network = nn.Conv2d(1, 1, 1)
    spread(Replica(network, bce_sum), torch.device("cpu"))
    assert list(network.state_dict()) == ["weight", "bias"]


def test_cuda_where_there_is_none_is_an_error_and_auto_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="torch sees no CUDA device"):
        pick_device("cuda")


@pytest.mark.gpu
def test_several_gpus_give_the_loss_of_one() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    device = torch.device("cuda")
    replica = Replica(nn.Conv2d(1, 1, 3, padding=1).to(device), bce_sum)
    image, label = torch.rand(5, 1, 8, 8, device=device), torch.randint(0, 2, (5, 8, 8), device=device).byte()
    one, several = replica(image, label), spread(replica, device)(image, label)
    assert torch.allclose(one[0].sum() / one[1].sum(), several[0].sum() / several[1].sum())
