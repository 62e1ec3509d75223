"""Every switch of the reference's defects runs alone, and does what its row says."""

from __future__ import annotations

import csv
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pkgs.data.patch_maps import PROBABILITY, read_maps
from pkgs.models.catalog import count_parameters, student_of
from pkgs.models.normalised import Normalised
from pkgs.noise.__main__ import main
from pkgs.noise.compat import CompatConfig, resolved, without_effect
from pkgs.noise.config import NoiseConfig
from pkgs.noise.training.maps import probability
from tests.builders.alabama import write_alabama
from tests.builders.noisy_tiles import noise_settings, write_noisy_tiles, write_settings
from tests.builders.red_roofs import RedRoofs

SWITCHES = tuple(CompatConfig.model_fields)


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noisy_tiles(tmp_path_factory.mktemp("data"))


def config_of(data: Path, **switches: bool) -> NoiseConfig:
    return resolved(NoiseConfig.model_validate(noise_settings(data, compat=switches)))


def network_of(data: Path, **switches: bool) -> torch.nn.Module:
    return student_of(config_of(data, **switches).model, seed=0, image_channels=3)


def run(data: Path, folder: Path, **switches: bool) -> Path:
    settings = noise_settings(data, compat=switches, training={
        "length": "3 steps", "batch_samples": 4, "validate_every": "1 steps", "threads": 1, "patience": 2,
    })  # fmt: skip
    config = write_settings(folder, settings)
    words = ["--config", str(config), "--run-dir", str(folder / "run"), "--seed", "0", "--device", "cpu"]
    assert main(["train", *words]) == 0
    return folder / "run"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "names", [*((name,) for name in SWITCHES), SWITCHES], ids=lambda names: "+".join(names)[:40]
)
def test_each_switch_alone_and_all_together_come_to_an_end(
    data: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    folder = run(data, tmp_path, **dict.fromkeys(names, True))
    assert (folder / "test.csv").exists()
    told = yaml.safe_load((folder / "config.yaml").read_text())["compat"]
    assert {name for name, on in told.items() if on} == set(names)


def test_the_reference_loses_the_corner_of_its_bottleneck_and_the_sound_network_does_not(data: Path) -> None:
    gradients = {}
    for on in (False, True):
        network = network_of(data, misaligned_bridge=on).eval()
        held: list[torch.Tensor] = []
        bridge = network.get_submodule("network.bridge")
        handle = bridge.register_forward_hook(lambda _m, _i, output, held=held: held.append(output))
        logits = network(torch.rand(1, 3, 256, 256)).logits
        handle.remove()
        assert held[0].shape[-2:] == ((32, 32) if on else (16, 16))
        (gradient,) = torch.autograd.grad(logits[0, 0, 0, 0], held[0])
        gradients[on] = float(gradient[..., 0, 0].abs().sum())
    assert gradients[False] > 0
    assert gradients[True] == 0


def test_attention_that_pools_each_channel_has_more_parameters(data: Path) -> None:
    counts = [count_parameters(network_of(data, pooled_attention=on)) for on in (False, True)]
    assert counts == [487_633, 499_001]


def test_a_red_image_is_large_in_channel_0_and_under_the_switch_red_meets_the_constants_of_blue(
    data: Path,
) -> None:
    sound, exchanged = network_of(data), network_of(data, bgr=True)
    assert isinstance(sound, Normalised)
    assert isinstance(exchanged, Normalised)
    red = torch.tensor([1.0, 0.0, 0.0])
    seen = (255 * red - sound.mean) / sound.std
    assert int(seen.argmax()) == 0
    assert sound.mean.tolist() == exchanged.mean.flip(0).tolist()
    assert sound.std.tolist() == exchanged.std.flip(0).tolist()


def test_the_run_judges_every_patch_only_under_in_sample(data: Path, tmp_path: Path) -> None:
    sound = read_maps(run(data, tmp_path / "sound"), PROBABILITY)
    compat = read_maps(run(data, tmp_path / "compat", in_sample=True), PROBABILITY)
    assert set(sound.parts) == {"test"}
    assert len(compat) == 24
    assert set(compat.parts) == {"train", "val", "test"}


def test_the_first_validation_is_kept_as_best_but_under_skip_first(data: Path, tmp_path: Path) -> None:
    rows = rows_of(run(data, tmp_path, skip_first=True) / "val.csv")
    assert rows[0]["judged"] == "inf"
    assert rows[1]["judged"] == rows[1]["loss"]


def test_alabama_is_there_and_under_the_switch_it_is_not(data: Path, tmp_path: Path) -> None:
    settings = noise_settings(data)
    settings["data"]["also"] = [{"root": str(write_alabama(tmp_path)), "layout": "alabama"}]
    given = NoiseConfig.model_validate(settings)
    without = given.model_copy(update={"compat": CompatConfig(alabama_off=True)})
    assert [each.layout for each in resolved(given).data.also] == ["alabama"]
    assert resolved(without).data.also == ()
    assert without_effect(without) == []


def test_switches_that_change_nothing_are_told(data: Path) -> None:
    settings = noise_settings(data, compat=dict.fromkeys(SWITCHES, True), loss={"name": "bce"})
    told = without_effect(NoiseConfig.model_validate(settings))
    assert [sentence.split()[0] for sentence in told] == [
        "compat.forward_rce", "compat.stop_total", "compat.alabama_off",
    ]  # fmt: skip


def test_the_mean_over_flips_and_turns_does_not_care_how_a_patch_lies() -> None:
    torch.manual_seed(0)
    network = student_of(NoiseConfig.model_validate(
        {"data": {"root": "x"}, "model": {"options": {"base": 8}}, "distillation": {"weight": 0}}
    ).model, seed=0, image_channels=3).eval()  # fmt: skip
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        mean, turned = (probability(network, x, tta="d4") for x in (image, image.rot90(1, (-2, -1)).flip(-1)))
    assert torch.allclose(turned, mean.rot90(1, (-2, -1)).flip(-1), atol=1e-6)
    assert np.isclose(float(probability(RedRoofs(0.0), image, tta="d4").detach().mean()), 0.5)
