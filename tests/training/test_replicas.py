"""The criterion inside the replica."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pkgs.losses.segmentation import IGNORE, bce_sum
from pkgs.models.output import Output
from pkgs.training.config import TrainingConfig
from pkgs.training.ranks import Ranks
from pkgs.training.replicas import Replica, in_float32, lay_channels_last, pick_device, placed


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


def put(network: nn.Module, *, replicas: bool = False, **settings: object) -> nn.Module:
    ranks = Ranks(torch.device("cpu"), replicas=replicas)
    config = TrainingConfig.model_validate(settings)
    return placed(network, bce_sum, config=config, ranks=ranks, say=lambda _: None)


def test_data_parallel_is_bypassed_on_one_device_and_used_on_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn, "DataParallel", lambda module: ("parallel", module))
    network = nn.Conv2d(1, 1, 1)
    assert isinstance(put(network), Replica)
    assert put(network, replicas=True)[0] == "parallel"  # type: ignore[index]


def test_weights_keep_their_names_for_the_checkpoint() -> None:
    network = nn.Conv2d(1, 1, 1)
    put(network, compile="auto", channels_last=True)
    assert list(network.state_dict()) == ["weight", "bias"]


def test_the_criterion_gets_float32_also_inside_a_networks_tuple() -> None:
    half = torch.ones(1).half()
    answer = in_float32(Output(half, auxiliary=(half, half)))
    assert isinstance(answer, Output)
    assert answer.logits.dtype == answer.auxiliary[1].dtype == torch.float32
    assert answer.features is None


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Conv2d(3, 4, 3), (2, 3, 8, 8)), (nn.Conv3d(3, 4, 3), (2, 3, 8, 8, 8))]
)
def test_channels_last_changes_the_layout_of_weights_and_answer_not_the_values(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    image = torch.rand(shape)
    before, values = layer(image), layer.weight.detach().clone()
    lay_channels_last(layer)
    assert torch.equal(layer.weight, values)
    assert not layer.weight.is_contiguous()
    after = layer(image)
    assert not after.is_contiguous()
    assert torch.allclose(after, before, atol=1e-5)


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
    network = nn.Conv2d(1, 1, 3, padding=1).to(device)
    replica = Replica(network, bce_sum)
    image, label = torch.rand(5, 1, 8, 8, device=device), torch.randint(0, 2, (5, 8, 8), device=device).byte()
    one, several = replica(image, label), nn.DataParallel(replica)(image, label)
    assert torch.allclose(one[0].sum() / one[1].sum(), several[0].sum() / several[1].sum())
