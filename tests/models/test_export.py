"""Export to other programs, compared with the original."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch

from pkgs.models import export as exporting
from pkgs.models.catalog import build
from pkgs.models.export import export


def tiny() -> torch.nn.Module:
    return build("unet2d", seed=0, purpose_name="test", base=4, levels=2)


def test_torch_export_gives_the_same_logits_for_another_batch(tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    assert export(tiny(), (1, 16, 16), form="torch.export", path=path) <= 1e-4
    program = torch.export.load(path).module()
    image = torch.rand(5, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(program(image), tiny().eval()(image).logits, atol=1e-5)


def test_onnx_gives_the_same_logits_for_another_batch(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "network.onnx"
    assert export(tiny(), (1, 16, 16), form="onnx", path=path) <= 1e-4
    image = torch.rand(5, 1, 16, 16)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(["logits"], {"image": image.numpy()})[0])
    with torch.no_grad():
        assert torch.allclose(found, tiny().eval()(image).logits, atol=1e-5)


def test_an_export_that_differs_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(ValueError, match="the exported network differs by"):
        export(tiny(), (1, 16, 16), form="torch.export", path=tmp_path / "network.pt2")
    assert not (tmp_path / "network.pt2").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_a_sentence_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ValueError, match=rf"needs {package}, .*pip install 'queuemanager\[onnx\]'"):
        export(tiny(), (1, 16, 16), form="onnx", path=tmp_path / "network.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("swin_unetr", {"feature_size": 12}, (1, 64, 64)),
        ("unet3d", {"base": 4}, (1, 8, 16, 16)),
        ("resnet50", {"classes": 3, "width": 8}, (3, 64, 64)),
        ("unet_resnet18_backbone", {"classes": 3, "width": 16}, (3, 64, 64)),
        ("nrn_rsseg", {"base": 8}, (3, 50, 64)),
        ("dil2D", {"rf": 35}, (1, 45, 45)),
    ],
)
def test_other_networks_export_too(
    tmp_path: Path, name: str, options: dict[str, int], shape: tuple[int, ...]
) -> None:
    network = build(name, seed=0, purpose_name="test", **options)
    assert export(network, shape, form="onnx", path=tmp_path / "network.onnx") <= 1e-4
