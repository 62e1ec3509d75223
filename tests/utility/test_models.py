"""`get_model` by name, from runs and from old files; and the command that exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import tifffile
import torch
from torch import nn
from typer.testing import CliRunner

from pkgs.foundation.run_folder import RunFolder
from pkgs.models.catalog import build
from tests.builders.pickle_bombs import write_zipped_bomb
from tests.builders.trained_runs import SIZE_PX, write_run
from utility.models import app, get_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, nn.Module]:
    return write_run(tmp_path_factory.mktemp("runs") / "seed_1")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    trained = build("resnet18", seed=7, purpose_name="test", classes=5).eval()
    path = tmp_path_factory.mktemp("old") / "moved_and_renamed.tar"
    torch.save({f"module.{key}": value for key, value in trained.state_dict().items()}, path)
    return path, trained


def test_a_run_folder_gives_its_network_in_evaluation_mode(run: tuple[RunFolder, nn.Module]) -> None:
    folder, trained = run
    model, image = get_model(folder.path), torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(image), trained(image).logits)
    assert not model.training
    assert model.load_report.kind == "other"
    assert model.load_report.missing == model.load_report.unexpected == ()


def test_best_is_another_checkpoint_than_last(run: tuple[RunFolder, nn.Module]) -> None:
    folder, trained = run
    best = get_model(folder.checkpoints / "best").network.state_dict()
    assert not torch.equal(best["head.weight"], trained.state_dict()["head.weight"])
    last = get_model(str(folder.checkpoints / "last")).network.state_dict()
    assert torch.equal(last["head.weight"], trained.state_dict()["head.weight"])


def test_a_run_or_its_file_can_be_named_with_the_network(run: tuple[RunFolder, nn.Module]) -> None:
    folder, trained = run
    for weights in (folder.path, folder.checkpoints / "last" / "student.safetensors"):
        found = get_model("unet2d", weights).network.state_dict()
        assert torch.equal(found["head.weight"], trained.state_dict()["head.weight"])


def test_a_run_prepares_images_as_its_training_did(run: tuple[RunFolder, nn.Module], tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 256, (SIZE_PX, SIZE_PX), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", codes)
    model = get_model(run[0].path)
    expected = torch.from_numpy(codes).float()[None, None] / 255
    assert torch.equal(model.preprocess(tmp_path / "image.tif"), expected)
    assert torch.equal(model.preprocess(codes), expected)
    assert model.preprocess(np.zeros((50, 70), np.uint16)).shape == (1, 1, SIZE_PX, SIZE_PX)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 3), np.uint8), r"A grey image \[H, W\] is needed, got the shape \(4, 4, 3\)"),
        (np.full((4, 4), 300, np.int32), "uint8, uint16, or fractions"),
        (np.full((4, 4), np.nan, np.float32), "fractions within"),
    ],
)
def test_images_that_a_run_cannot_take_are_refused(
    run: tuple[RunFolder, nn.Module], image: np.ndarray, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        get_model(run[0].path).preprocess(image)


def test_a_name_alone_gives_random_weights_by_torchs_seed() -> None:
    torch.manual_seed(3)
    first = get_model("resnet18", classes=4)
    torch.manual_seed(3)
    second, third = get_model("resnet18", classes=4), get_model("resnet18", classes=4)
    assert torch.equal(first.network.head.weight, second.network.head.weight)
    assert not torch.equal(first.network.head.weight, third.network.head.weight)
    assert first.load_report is None
    assert first(torch.rand(1, 3, 64, 64)).shape == (1, 4)


def test_an_old_state_dict_loads_with_its_own_number_of_classes(resnet: tuple[Path, nn.Module]) -> None:
    path, trained = resnet
    model = get_model("resnet18", path)
    image = model.preprocess(np.random.default_rng(0).integers(0, 9, (40, 30, 3)))
    assert image.shape == (1, 3, 256, 256)
    assert (image.min().item(), image.max().item()) == (0, 1)
    with torch.no_grad():
        assert torch.equal(model(image), trained(image).logits)


def test_grey_images_are_repeated_and_constant_ones_are_nothing() -> None:
    prepare = get_model("resnet18", classes=2).preprocess
    assert torch.equal(prepare(np.full((8, 8), 7)), torch.zeros(1, 3, 256, 256))
    grey = prepare(np.arange(64).reshape(8, 8))
    assert torch.equal(grey[:, 0], grey[:, 2])
    with pytest.raises(ValueError, match="NaN or infinity"):
        prepare(np.full((8, 8), np.nan))


def test_another_number_of_classes_is_an_error_that_names_both(resnet: tuple[Path, nn.Module]) -> None:
    with pytest.raises(ValueError, match="its head has 5 classes, classes=3 was asked for"):
        get_model("resnet18", resnet[0], 3)
    loose = get_model("resnet18", resnet[0], 3, strict=False)
    assert loose.network.head.weight.shape == (3, 512)
    assert torch.equal(loose.network.encoder.conv1.weight, resnet[1].encoder.conv1.weight)


def test_a_simclr_checkpoint_needs_classes_and_gives_its_encoder(tmp_path: Path) -> None:
    pretrained = build("simclr_resnet18", seed=1, purpose_name="test")
    safetensors.torch.save_file(pretrained.state_dict(), tmp_path / "w.safetensors")
    for name in ("resnet18", "unet_resnet18_backbone"):
        with pytest.raises(ValueError, match=r"simclr weights without the head.*say how many"):
            get_model(name, tmp_path / "w.safetensors")
    model = get_model("unet_resnet18_backbone", tmp_path / "w.safetensors", 3, in_channels=1)
    assert model.load_report.prefix == "encoder."
    assert model(torch.rand(1, 1, 32, 32)).shape == (1, 3, 32, 32)


def test_a_frozen_encoder_stays_frozen_in_training_mode(resnet: tuple[Path, nn.Module]) -> None:
    model = get_model("resnet18", resnet[0], None, True)  # noqa: FBT003 - as older code calls it
    before = {key: value.clone() for key, value in model.network.encoder.state_dict().items()}
    model.train()
    model(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(torch.equal(before[k], v) for k, v in model.network.encoder.state_dict().items())
    assert model.network.encoder.conv1.weight.grad is None
    assert model.network.head.weight.grad is not None
    with pytest.raises(ValueError, match="unet2d has no encoder that can be frozen alone"):
        get_model("unet2d", frozen_encoder=True)


def test_names_and_folders_that_do_not_exist_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Unknown network 'resnet19'\. Did you mean 'resnet1"):
        get_model("resnet19")
    with pytest.raises(ValueError, match="neither a run folder"):
        get_model(tmp_path / "no_run")
    with pytest.raises(ValueError, match=r"no run folder, there is no config\.yaml in it"):
        get_model("unet2d", tmp_path)
    with pytest.raises(ValueError, match=r"resnet18 needs classes=\.\.\."):
        get_model("resnet18")


def test_runs_without_a_whole_checkpoint_are_refused(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path / "run")
    weights = folder.checkpoints / "last" / "student.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"no whole checkpoint \(.*student\.safetensors is damaged"):
        get_model(folder.path)
    with pytest.raises(ValueError, match=r"no whole checkpoint \(student\.safetensors is damaged"):
        get_model(folder.checkpoints / "last")
    with pytest.raises(ValueError, match="a run folder with weights of its own"):
        get_model(folder.path, weights)


def test_a_run_before_its_first_checkpoint_and_one_without_a_network_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: {name: unet2d}\n")
    with pytest.raises(ValueError, match="Let the run train to its first validation"):
        get_model(tmp_path)
    (tmp_path / "config.yaml").write_text("data: {}\n")
    with pytest.raises(ValueError, match=r"has no model\.name"):
        get_model(tmp_path)


def test_weights_of_another_architecture_and_bombs_are_refused(
    run: tuple[RunFolder, nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"122 missing: attention.*56 surplus: down.*of another shape"):
        get_model("nrn_rsseg", run[0].checkpoints / "last" / "student.safetensors", in_channels=1)
    bomb = write_zipped_bomb(tmp_path / "weights.pth", mark=tmp_path / "mark")
    with pytest.raises(ValueError, match="holds Python objects besides tensors"):
        get_model("resnet18", bomb, 3)
    assert not (tmp_path / "mark").exists()


def test_what_is_not_known_of_images_is_said() -> None:
    with pytest.raises(ValueError, match="How images were prepared is not known"):
        get_model("unet2d").preprocess(np.zeros((8, 8), np.uint8))


def ask(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_a_run_is_exported_and_compared(run: tuple[RunFolder, nn.Module], tmp_path: Path) -> None:
    out = tmp_path / "new" / "student.pt2"
    code, text = ask("export", run[0].path, "--format", "torch.export", "--out", out)
    assert (code, out.exists()) == (0, True)
    assert "126,593 parameters, batch of any size x 1 x 32 x 32; largest difference of a logit" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "Unknown network 'nothing'"),
        (("unet2d",), "give --shape"),
        (("unet2d", "--shape", "1,a"), "expected channels and sides"),
        (("unet2d", "--shape", "1,30,32"), "divisible by 8, got 30 x 32"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence_and_exit_code_two(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    code, text = ask("export", *words, "--format", "torch.export", "--out", tmp_path / "x")
    assert code == 2
    assert said in text
    assert "Traceback" not in text


def test_the_networks_are_listed() -> None:
    code, text = ask("list")
    assert code == 0
    assert "resnet50: classes (needed), in_channels, width" in text
