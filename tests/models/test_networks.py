"""What is special about single networks: their geometry, their heads, and the images that they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from pkgs.models.catalog import NETWORKS, build, count_parameters
from pkgs.models.dil2d import DILATIONS, Dil2D
from pkgs.models.dimensions import halved, layers_of
from pkgs.models.light_unet import LightUNet
from pkgs.models.nrn_rsseg import NrnRsseg
from pkgs.models.resnet import ResNet, ResNetClassifier
from pkgs.models.resnet_unet import ResNetUNet
from pkgs.models.simclr import build_projector
from pkgs.models.small_orig import SmallOrig
from pkgs.models.swin_unetr import SwinUNetR
from pkgs.models.valid_unet3d import ValidUNet3d
from pkgs.models.vit_error import ViTError

LIGHT: dict[str, Any] = dict(NETWORKS["vit_error"].small)


def test_images_do_not_influence_each_other() -> None:
    network, images = LightUNet(), torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(network(images).logits[1:2], network(images[1:2]).logits, atol=1e-5)


def test_the_light_network_is_one_class_over_dimensions() -> None:
    network = LightUNet(dims=3, in_channels=2, classes=4, base=4, levels=3)
    output = network(torch.rand(1, 2, 8, 12, 16))
    assert output.logits.shape == (1, 4, 8, 12, 16)
    assert output.features.shape == (1, 16, 2, 3, 4)
    with pytest.raises(ValueError, match="dims is 4"):
        layers_of(4)


def test_halving_by_blocks_is_max_pooling() -> None:
    volume = torch.randn(2, 3, 4, 6, 8)
    assert torch.equal(halved(volume), F.max_pool3d(volume, 2))
    assert torch.equal(halved(volume[:, :, 0]), F.max_pool2d(volume[:, :, 0], 2))


@pytest.mark.parametrize(
    ("name", "options", "shape", "words"),
    [
        ("unet2d", {}, (1, 1, 60, 64), "divisible by 8, got 60 x 64. Nearest: 64 x 64"),
        ("unet2d", {}, (1, 3, 64, 64), "built for 1 channels, the image has 3. Build it with in_channels=3"),
        ("unet2d", {}, (1, 64, 64), r"takes images \[B, C, H, W\], got 3 axes"),
        ("unet3d", {}, (1, 1, 64, 64), r"takes images \[B, C, D, H, W\], got 4 axes"),
        ("unet3d", {}, (1, 1, 16, 16, 19), "got 16 x 16 x 19. Nearest: 16 x 16 x 16"),
        ("swin_unetr", {}, (1, 1, 32, 96), "divisible by 32 and at least 64, got 32 x 96. Nearest: 64 x 96"),
        ("nrn_rsseg", {"base": 8}, (1, 1, 64, 64), "nrn_rsseg was built for 3 channels, the image has 1"),
        ("dil2D", {"rf": 35}, (1, 1, 30, 64), "at least 35, got 30 x 64. Nearest: 35 x 64"),
        ("Unet3DSmallOrig", {"base": 4}, (1, 1, 16, 16, 20), "divisible by 8.*Nearest: 16 x 16 x 24"),
        ("Resnet3DNEW", {"base": 4}, (1, 1, 8, 8, 9), "divisible by 4.*Nearest: 8 x 8 x 8"),
        ("Unet3D", {}, (1, 1, 8, 8, 9), "divisible by 8"),
        ("Unet3DSmall", {"base": 4}, (1, 1, 8, 8, 9), "divisible by 8"),
        ("Unet3DSmallA", {"base": 4}, (1, 1, 92, 92, 96), "4 mod 8"),
        ("resnet18", {"classes": 2, "width": 8}, (1, 1, 64, 64), "built for 3 channels"),
        ("unet_resnet18_backbone", {"classes": 2, "width": 16}, (1, 3, 48, 64), "divisible by 32.*64 x 64"),
        ("vit_error", LIGHT, (1, 2, 96, 96), "built for sides of 64, got 96 x 96.*size_px=96"),
        ("vit_error", LIGHT, (1, 1, 64, 64), "built for 2 channels"),
    ],
)
def test_images_that_do_not_fit_are_refused_with_what_would(
    name: str, options: dict[str, Any], shape: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        build(name, seed=0, purpose_name="test", **options)(torch.rand(shape))


@pytest.mark.parametrize("rf", DILATIONS)
def test_one_output_of_dil2d_rests_on_its_receptive_field_exactly(rf: int) -> None:
    network = Dil2D(rf=rf).double().eval()
    image = torch.randn(1, 1, rf + 4, rf + 4, dtype=torch.double, requires_grad=True)
    network(image).logits[0, :, 2, 2].sum().backward()
    seen = image.grad[0, 0] != 0
    assert seen[2 : rf + 2, 2 : rf + 2].float().mean() > 0.5
    seen[2 : rf + 2, 2 : rf + 2] = False
    assert not seen.any()


@pytest.mark.parametrize(("rf", "side", "left"), [(131, 185, 55), (35, 45, 11)])
def test_dil2d_gives_the_stated_sides(rf: int, side: int, left: int) -> None:
    with torch.no_grad():
        assert Dil2D(rf=rf).eval()(torch.rand(1, 1, side, side)).logits.shape[2:] == (left, left)
    with pytest.raises(ValueError, match="35, 67 and 131"):
        Dil2D(rf=99)


def test_all_auxiliary_heads_have_a_gradient_and_full_size() -> None:
    output = SmallOrig(base=4, deep_supervision=True, classes=3)(torch.rand(2, 1, 8, 16, 8))
    assert [head.shape for head in output.auxiliary] == [(2, 3, 8, 16, 8)] * 2
    supervised = SmallOrig(base=4, deep_supervision=True, classes=3)
    sum(head.sum() for head in supervised(torch.rand(2, 1, 8, 8, 8)).auxiliary).backward()
    heads = [supervised.half_head, supervised.quarter_head]
    assert all(weight.grad is not None for head in heads for weight in head.parameters())


def test_a_standard_deviation_has_a_head_of_its_own() -> None:
    for name, side in (("dil2D", 45), ("Unet2DSmallOrig", 16), ("Resnet2DNEW", 16)):
        options = {"rf": 35} if name == "dil2D" else {"base": 4}
        network = build(name, seed=0, purpose_name="test", uncertainty=True, classes=3, **options).eval()
        output = network(torch.rand(1, 1, side, side))
        assert output.std_logits.shape == output.logits.shape


@pytest.mark.parametrize(("side", "left"), [(100, 12), (108, 20)])
def test_unpadded_volumes_give_the_stated_sides(side: int, left: int) -> None:
    with torch.no_grad():
        found = ValidUNet3d(base=1, classes=2).eval()(torch.rand(1, 1, side, side, 92)).logits
    assert found.shape == (1, 2, left, left, 4)


@pytest.mark.parametrize(("aligned", "size"), [(True, 16), (False, 32)])
def test_the_bottom_of_nrn_rsseg_has_the_stated_size(aligned: bool, size: int) -> None:  # noqa: FBT001
    with torch.no_grad():
        output = NrnRsseg(base=8, aligned=aligned).eval()(torch.rand(1, 3, 256, 256))
    assert output.features.shape == (1, 128, size, size)
    assert output.logits.shape == (1, 1, 256, 256)


@pytest.mark.parametrize(("aligned", "reaches"), [(True, True), (False, False)])
def test_the_corner_of_the_bottom_reaches_the_corner_of_the_output_only_if_aligned(
    aligned: bool,  # noqa: FBT001
    reaches: bool,  # noqa: FBT001
) -> None:
    network = NrnRsseg(base=8, aligned=aligned).double().eval()
    output = network(torch.rand(1, 3, 128, 128, dtype=torch.double))
    bottom, logits = output.features, output.logits
    gradient = torch.autograd.grad(logits[0, 0, 0, 0], bottom)[0]
    assert bool((gradient[0, :, 0, 0] != 0).any()) is reaches


@pytest.mark.parametrize("shape", [(64, 64), (50, 70), (17, 3)])
def test_nrn_rsseg_pads_and_crops_back(shape: tuple[int, int]) -> None:
    with torch.no_grad():
        logits = NrnRsseg(base=8).eval()(torch.rand(1, 3, *shape)).logits
    assert logits.shape[2:] == shape


@pytest.mark.parametrize(
    ("depth", "count", "features"),
    [
        (18, 11_176_512, 512),
        (34, 21_284_672, 512),
        (50, 23_508_032, 2048),
        (101, 42_500_160, 2048),
        (152, 58_143_808, 2048),
    ],
)
def test_encoders_have_the_published_sizes(depth: int, count: int, features: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth=depth)
    assert count_parameters(network) == count
    assert network.widths[-1] == features


def test_encoders_have_the_usual_keys_and_no_others() -> None:
    with torch.device("meta"):
        keys = ResNet(depth=50).state_dict()
    usual = ("conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight")
    assert set(usual) <= set(keys)
    assert {key.split(".")[0] for key in keys} == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
    assert keys["layer2.0.conv2.weight"].shape == (128, 128, 3, 3)
    assert len(keys) == 318
    with pytest.raises(ValueError, match="depth is 20; expected one of 18, 34, 50, 101, 152"):
        ResNet(depth=20)


def test_the_stride_is_in_the_three_by_three_convolution() -> None:
    block = ResNet(depth=50, width=8).layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))


def test_the_stages_have_the_stated_sizes() -> None:
    with torch.no_grad():
        stages = ResNet(depth=50, width=8).eval()(torch.rand(1, 3, 64, 64))
    assert [stage.shape[-1] for stage in stages] == [32, 16, 8, 4, 2]
    assert [stage.shape[1] for stage in stages] == [8, 32, 64, 128, 256]


def test_building_a_unet_on_a_resnet_leaves_batch_statistics_at_their_start() -> None:
    encoder = ResNetUNet(depth=18, classes=3, width=16).unet["backbone"]
    fresh = {key: value for key, value in encoder.state_dict().items() if "running" in key}
    assert all(torch.equal(v, torch.full_like(v, float("var" in key))) for key, v in fresh.items())


@pytest.mark.parametrize("network", [ResNetClassifier, ResNetUNet])
def test_a_frozen_encoder_is_the_same_after_training_batch_statistics_included(network: type) -> None:
    model = network(depth=18, classes=2, width=16)
    encoder = model.encoder if network is ResNetClassifier else model.unet["backbone"]
    encoder.freeze()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    whole = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model.train()
    for _ in range(2):
        model(torch.rand(2, 3, 32, 32)).logits.square().mean().backward()
        optimiser.step()
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())
    assert any(not torch.equal(whole[key], value) for key, value in model.state_dict().items())
    assert not encoder.bn1.training


def test_projectors_have_the_published_sizes() -> None:
    assert count_parameters(build_projector("reference", features=2048)) == 8_912_896
    assert count_parameters(build_projector("reference", features=512)) == 655_360
    assert count_parameters(build_projector("simclr", features=512)) == 512 * 512 + 512 + 512 * 256
    with pytest.raises(ValueError, match="Known: reference, simclr"):
        build_projector("other", features=8)


def test_the_student_computes_what_monais_network_computes() -> None:
    from monai.networks.nets import SwinUNETR

    ours = SwinUNetR(feature_size=12).eval()
    theirs = SwinUNETR(
        in_channels=1, out_channels=1, spatial_dims=2, use_v2=True, feature_size=12, patch_norm=False
    ).eval()
    theirs.load_state_dict(ours.state_dict())
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(image).logits, theirs(image))


def test_a_predicted_error_is_not_bounded_by_a_tanh() -> None:
    network = ViTError(**LIGHT)
    torch.nn.init.constant_(network.vit.classification_head.bias, 7.0)
    assert network(torch.rand(1, 2, 64, 64)).logits.item() > 3


def test_the_error_map_has_full_size_and_an_answer_for_the_whole_image() -> None:
    output = ViTError(error_map=True, image_channels=3, **LIGHT)(torch.rand(2, 4, 64, 64))
    assert output.logits.shape == (2, 1, 64, 64)
    assert output.image_logits.shape == (2,)


def test_the_tokens_of_the_map_are_folded_to_where_they_were() -> None:
    head = ViTError(error_map=True, **LIGHT).map_head
    for part in (head.near, head.join):
        for weight in part.parameters():
            torch.nn.init.zeros_(weight)
    torch.nn.init.ones_(head.join[0].weight)
    torch.nn.init.ones_(head.join[2].weight)
    tokens = torch.zeros(1, 64, 96)
    with torch.no_grad():
        calm = head(torch.zeros(1, 2, 64, 64), tokens)
        tokens[0, 10, ::2] = 1  # row 1, column 2 of 8 x 8
        changed = (head(torch.zeros(1, 2, 64, 64), tokens) - calm)[0, 0] != 0
    rows, columns = changed.any(dim=1).nonzero().flatten(), changed.any(dim=0).nonzero().flatten()
    assert (rows.min() >= 6, rows.max() <= 17) == (True, True)
    assert (columns.min() >= 14, columns.max() <= 25) == (True, True)


def test_a_patch_that_does_not_divide_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="size_px 60 is not a multiple of patch_px 8"):
        ViTError(**{**LIGHT, "size_px": 60})
