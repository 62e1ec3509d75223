"""Weights into networks: kinds by their keys, encoders alone, other channels, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from pkgs.models.catalog import build
from pkgs.models.loading import adapt_channels, kind_of, load_into, unwrapped

TINY = {"width": 8}


def make(name: str, *, seed: int = 0, **options: int) -> nn.Module:
    small = {"width": 8} if "resnet" in name else {}
    return build(name, seed=seed, purpose_name="test", **{**small, **options})


def encoder_of(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in network.state_dict().items() if k.startswith(prefix)}


def equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_kinds_are_told_by_their_keys() -> None:
    assert kind_of(make("resnet18", classes=2).state_dict()) == "classifier"
    assert kind_of(make("simclr_resnet18").state_dict()) == "simclr"
    assert kind_of(make("unet_resnet18_backbone", classes=2).state_dict()) == "unet"
    assert kind_of(encoder_of(make("resnet18", classes=2), "encoder.")) == "encoder"
    assert kind_of(make("unet2d").state_dict()) == "other"


@pytest.mark.parametrize("name", ["unet2d", "resnet18", "unet_resnet18_backbone", "nrn_rsseg"])
def test_weights_of_the_same_network_load_whole_through_any_wrapper(name: str) -> None:
    options = {"classes": 2} if "resnet" in name else {"base": 8}
    trained, fresh = make(name, seed=1, **options), make(name, seed=2, **options)
    wrapped = {f"module._orig_mod.{key}": value for key, value in trained.state_dict().items()}
    report = load_into(fresh, wrapped, source="file")
    assert equal(trained.state_dict(), fresh.state_dict())
    assert (report.fresh, report.missing, report.unexpected, report.prefix) == ((), (), (), "")
    assert len(report.loaded) == len(trained.state_dict())


@pytest.mark.parametrize(
    ("origin", "prefix"),
    [("simclr_resnet18", "encoder."), ("resnet18", "encoder."), ("unet_resnet18_backbone", "unet.backbone.")],
)
@pytest.mark.parametrize(
    ("target", "home"), [("resnet18", "encoder."), ("unet_resnet18_backbone", "unet.backbone.")]
)
def test_of_another_kind_the_encoder_is_taken_and_named(
    origin: str, prefix: str, target: str, home: str
) -> None:
    if origin == target:
        pytest.skip("the same kind loads whole")
    options = {} if origin.startswith("simclr") else {"classes": 4}
    trained, fresh = make(origin, seed=1, **options), make(target, seed=2, classes=3)
    report = load_into(fresh, trained.state_dict(), source="file")
    assert equal(encoder_of(trained, prefix), encoder_of(fresh, home))
    assert report.prefix == prefix
    assert len(report.loaded) == 120
    assert report.dropped
    assert all(not key.startswith(home) for key in report.fresh)
    assert (
        f"120 tensors under '{prefix}' loaded, {len(report.fresh)} left at their start" in report.sentence()
    )


def test_a_bare_encoder_with_its_old_classifier_loads() -> None:
    trained, fresh = make("resnet18", seed=1, classes=2), make("resnet18", seed=2, classes=3)
    bare = {**encoder_of(trained, "encoder."), "fc.weight": torch.ones(2), "fc.bias": torch.ones(2)}
    report = load_into(fresh, bare, source="file")
    assert report.dropped == ("fc.bias", "fc.weight")
    assert report.fresh == ("head.weight",)
    assert equal(encoder_of(trained, "encoder."), encoder_of(fresh, "encoder."))


def test_what_older_programs_saved_along_is_dropped_without_an_error() -> None:
    trained = make("unet_resnet18_backbone", seed=1, classes=2)
    along = {"loss_criterion.weight": torch.ones(2), "ntxent.mask": torch.ones(1)}
    weights = {**trained.state_dict(), **along, "unet.backbone.fc.weight": torch.ones(3)}
    fresh = make("unet_resnet18_backbone", seed=2, classes=2)
    assert len(load_into(fresh, weights, source="file").dropped) == 3
    assert equal(trained.state_dict(), fresh.state_dict())


def test_a_renamed_key_is_an_error_that_lists_it_and_changes_nothing() -> None:
    weights = make("resnet18", seed=1, classes=2).state_dict()
    weights["encoder.layer9.weight"] = weights.pop("encoder.bn1.weight")
    fresh = make("resnet18", seed=2, classes=2)
    before = {key: value.clone() for key, value in fresh.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"1 missing: encoder\.bn1\.weight; 1 surplus: encoder\.layer9\.weight"
    ):
        load_into(fresh, weights, source="file")
    assert equal(before, fresh.state_dict())
    loose = load_into(fresh, weights, source="file", strict=False)
    assert (loose.missing, loose.unexpected) == (("encoder.bn1.weight",), ("encoder.layer9.weight",))
    assert torch.equal(fresh.state_dict()["encoder.conv1.weight"], weights["encoder.conv1.weight"])


def test_another_depth_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"weights of another network; \d+ surplus: .*; \d+ of another shape"
    ):
        load_into(make("resnet18", classes=2), make("resnet50", classes=2).state_dict(), source="file")


def test_another_width_is_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"down\.0\.path\.0\.weight \(\(16, 1, 3, 3\) in the file, \(8, 1"):
        load_into(make("unet2d"), make("unet2d", base=16).state_dict(), source="file")


@pytest.mark.parametrize("strict", [True, False])
def test_nothing_taken_is_an_error(strict: bool) -> None:  # noqa: FBT001
    with pytest.raises(ValueError, match=r"nothing of it fits the network. It holds x\.weight"):
        load_into(make("unet2d"), {"x.weight": torch.ones(1)}, source="file", strict=strict)


@pytest.mark.parametrize("channels", [1, 4])
def test_the_first_kernel_takes_another_number_of_channels(channels: int) -> None:
    trained = make("resnet18", seed=1, classes=2)
    fresh = make("resnet18", seed=2, classes=2, in_channels=channels)
    load_into(fresh, trained.state_dict(), source="file")
    grey = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        before = trained.eval().encoder.conv1(grey.expand(-1, 3, -1, -1))
        after = fresh.eval().encoder.conv1(grey.expand(-1, channels, -1, -1))
    assert torch.allclose(before, after, atol=1e-5)


def test_the_adapted_kernel_is_the_scaled_mean() -> None:
    kernel = torch.tensor([1.0, 2.0, 6.0]).reshape(1, 3, 1, 1)
    assert adapt_channels(kernel, channels=2).flatten().tolist() == [4.5, 4.5]


def test_only_leading_wrappers_are_taken_off() -> None:
    assert list(unwrapped({"module.a.module.b": torch.ones(1), "c": torch.ones(1)})) == ["a.module.b", "c"]
