"""`joint` and `split` through the command line, and their losses."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
import yaml
from torch import Tensor, nn

from pkgs.data.items import IGNORE
from pkgs.errormap import loss
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import TeacherLossConfig
from pkgs.errormap.loss import MixedLoss, TeacherLoss
from pkgs.losses.segmentation import bce_sum
from pkgs.models.error_teacher import ErrorPrediction
from pkgs.student.__main__ import main
from pkgs.student.joint import JointStep, carried
from pkgs.student.split import TeacherStep
from pkgs.training import ranks
from pkgs.training.loop import Loop
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.builders.teacher_runs import write_teacher_run
from tests.student.test_main import config_for, rows_of, same, words

STEPS = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cem_mitolab(tmp_path_factory.mktemp("data"), sources=8)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher_run(tmp_path_factory.mktemp("teacher") / "seed_3")


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


def command(data: Path, folder: Path, method: str, teacher: Path | str = "", *more: str) -> list[str]:
    """Return the words for a short run of `method` in `folder`/run."""
    config = config_for(data, folder, steps=STEPS)
    settings = yaml.safe_load(config.read_text())
    settings |= {
        "method": method,
        "teacher": {
            "model": {"name": "vit_error_map_light"},
            "start": str(teacher),
            "optimiser": {"lr": 0.01},
            "schedule": {"name": "cosine"},
        },
    }
    settings["training"]["log_every"] = "1 steps"
    config.write_text(yaml.safe_dump(settings))
    return words(config, folder / "run", *more)


def interrupted(words: list[str], *, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the run after step `at`, then let it come to its end."""
    real = Loop.log

    def log(loop: Loop) -> None:
        real(loop)
        if loop.state.step == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "log", log)
    with pytest.raises(KeyboardInterrupt):
        main(words)
    monkeypatch.undo()
    assert main(words) == 0


def weights(run: Path, module: str, name: str = "last") -> dict[str, Tensor]:
    return safetensors.torch.load_file(run / "checkpoints" / name / f"{module}.safetensors")


@pytest.fixture(scope="module")
def baseline(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baseline")
    assert main(command(data, folder, "supervised")) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def joint(data: Path, teacher: Path, baseline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joint")
    assert main(command(data, folder, "joint", teacher, "--set", f"judge.baseline={baseline}")) == 0
    return folder / "run"


def test_the_student_of_split_is_the_baseline_file_by_file(
    data: Path, teacher: Path, baseline: Path, tmp_path: Path
) -> None:
    assert main(command(data, tmp_path, "split", teacher)) == 0
    for name in ("last", "best"):
        files = [run / "checkpoints" / name / "student.safetensors" for run in (baseline, tmp_path / "run")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_split_killed_in_its_middle_ends_with_the_baseline_and_the_same_teacher(
    data: Path, teacher: Path, baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command(data, tmp_path / "whole", "split", teacher)) == 0
    interrupted(command(data, tmp_path / "cut", "split", teacher), at=5, monkeypatch=monkeypatch)
    runs = (tmp_path / "whole/run", tmp_path / "cut/run")
    assert same(weights(runs[1], "student"), weights(baseline, "student"))
    for name in ("last", "best"):
        assert same(*(weights(run, "teacher", name) for run in runs))
    last = [rows_of(run / "train.csv")[-1] for run in runs]
    assert {"loss_teacher", "lr_teacher", "grad_norm_teacher", "teacher_pred", "teacher_gt"} <= last[0].keys()
    assert all(last[0][name] == last[1][name] for name in ("loss", "s", "loss_teacher", "lr_teacher"))


def test_joint_killed_in_its_middle_ends_as_the_whole_one(
    data: Path, teacher: Path, joint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(command(data, tmp_path, "joint", teacher), at=5, monkeypatch=monkeypatch)
    for module in ("student", "teacher"):
        for name in ("last", "best"):
            assert same(weights(tmp_path / "run", module, name), weights(joint, module, name))


def test_joint_killed_while_it_is_judged_ends_as_the_whole_one(
    data: Path, teacher: Path, joint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*words: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pkgs.ensemble.threshold.best_threshold", dies)  # after both recalibrations
    with pytest.raises(KeyboardInterrupt):
        main(command(data, tmp_path, "joint", teacher))
    monkeypatch.undo()
    assert main(command(data, tmp_path, "joint", teacher)) == 0
    assert same(weights(tmp_path / "run", "teacher"), weights(joint, "teacher"))
    rows = [rows_of(run / "predictions/error_prediction.csv") for run in (tmp_path / "run", joint)]
    own = [[row for row in each if row["masks"] == "own"] for each in rows]
    assert own[0] == own[1]


def test_joint_logs_the_parts_of_its_loss(joint: Path) -> None:
    for row in rows_of(joint / "train.csv"):
        s, pred, true = (float(row[name]) for name in ("s", "teacher_pred", "teacher_gt"))
        assert float(row["loss"]) == pytest.approx(s + 0.9 * pred + 0.1 * true, rel=1e-5)


def test_the_teacher_is_recalibrated_in_both_checkpoints_and_marked(joint: Path) -> None:
    for name in ("last", "best"):
        with safetensors.safe_open(joint / f"checkpoints/{name}/teacher.safetensors", "pt") as file:
            told = file.metadata()["recalibrated"]
        assert told.startswith(f"on val, soft and hard masks of {name}: a ")
        assert float(weights(joint, "teacher", name)["offset"]) != 0


def test_the_teacher_is_judged_on_own_baseline_and_corrupted_masks_with_last_and_best(joint: Path) -> None:
    rows = rows_of(joint / "predictions/error_prediction.csv")
    assert {row["masks"] for row in rows} == {"own", "baseline", "corrupted"}
    assert {row["weights"] for row in rows} == {"last", "best"}
    for name in ("error_images", "error_reliability", "risk_coverage", "error_sources"):
        assert rows_of(joint / f"predictions/{name}.csv")


def test_stored_predictions_have_the_predicted_error(joint: Path, baseline: Path) -> None:
    for run, there in ((joint, True), (baseline, False)):
        with np.load(sorted((run / "predictions").glob("*.npz"))[0]) as sample:
            assert ("predicted_error" in sample) == there
            if there:
                assert sample["predicted_error"].shape == sample["image"].shape
                assert 0 < sample["predicted_error"].min() <= sample["predicted_error"].max() < 1


def test_what_it_started_from_is_written_down(joint: Path, teacher: Path) -> None:
    told = json.loads((joint / "provenance.json").read_text())["inputs"]
    digests = json.loads((teacher / "checkpoints/last/digests.json").read_text())
    assert told == {"teacher": digests["teacher.safetensors"][:16]}


def test_a_baseline_that_has_not_finished_is_left_out_and_said(
    data: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--set", "judge.baseline=nowhere", "--set", "training.short_training=true"]
    assert main(command(data, tmp_path, "joint", teacher, *more)) == 0
    assert "nowhere has not finished" in capsys.readouterr().out
    masks = {row["masks"] for row in rows_of(tmp_path / "run/predictions/error_prediction.csv")}
    assert masks == {"own", "corrupted"}


@pytest.mark.parametrize("mode", [[], ["--check"]])
def test_a_missing_teacher_is_one_sentence_with_the_way_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: list[str]
) -> None:
    assert main(command(data, tmp_path, "joint", tmp_path / "nowhere", *mode)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "teacher: " in line
    assert "Train it first (in Jobs.csv: name its row under `after`)" in line
    assert not (tmp_path / "run").exists()


def test_a_resume_with_another_teacher_than_it_began_with_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_teacher_run(tmp_path / "teacher")
    begun = command(data, tmp_path, "joint", run)
    real = Loop.log

    def log(loop: Loop) -> None:
        real(loop)
        raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "log", log)
    with pytest.raises(KeyboardInterrupt):
        main(begun)
    monkeypatch.undo()
    write_teacher_run(run, seed=4, step=5)
    for mode in ([], ["--check"]):
        assert main([*begun, *mode]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "its inputs have changed since it began (teacher was " in line


def test_a_teacher_of_another_size_is_one_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_teacher_run(tmp_path / "teacher", size_px=64)
    assert main(command(data, tmp_path, "joint", run)) == 2
    assert "weights of another shape" in capsys.readouterr().err


@pytest.mark.parametrize(
    "switch", ["logits_to_teacher", "undetached_target", "batch_mean_target", "broadcast"]
)
def test_each_defect_runs_alone(data: Path, teacher: Path, tmp_path: Path, switch: str) -> None:
    more = ["--set", f"compat.{switch}=true", "--set", "training.short_training=true"]
    assert main(command(data, tmp_path, "joint", teacher, *more)) == 0


@pytest.mark.parametrize("method", ["joint", "split"])
def test_score_100_teaches_one_number_alone_and_leaves_the_map_and_its_scale_as_they_were(
    data: Path, teacher: Path, tmp_path: Path, method: str
) -> None:
    more = ["--set", "compat.score_100=true", "--set", "training.length='4 steps'"]
    assert main(command(data, tmp_path, method, teacher, *more)) == 0
    before, after = weights(teacher, "teacher"), weights(tmp_path / "run", "teacher")
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert not any(key.startswith(("network.map_head", "slope", "offset")) for key in moved)
    assert any(key.startswith("network.vit.classification_head") for key in moved)
    with safetensors.safe_open(tmp_path / "run/checkpoints/last/teacher.safetensors", "pt") as file:
        assert "recalibrated" not in file.metadata()
    (own,) = [
        row
        for row in rows_of(tmp_path / "run/predictions/error_prediction.csv")
        if (row["weights"], row["masks"], row["predictor"], row["source"])
        == ("last", "own", "teacher", "pooled")
    ]
    assert own["mae"]


class Overheard:
    """What teacher and loss of a training are asked, first step first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[Tensor] = []
        self.images: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        """Of each call: predictions, targets and pixels per image, and the sum that came of them."""
        self.nats: list[Tensor] = []
        forward, image_sum, nats = MixedLoss.forward, TeacherLoss._image_sum, loss.image_nats

        def heard_forward(mixed: MixedLoss, *words: Tensor) -> Any:  # noqa: ANN401
            self.shown.append(words[3].detach())
            return forward(mixed, *words)

        def heard_sum(of: TeacherLoss, *words: Tensor) -> Any:  # noqa: ANN401
            found = image_sum(of, *words)
            self.images.append((*(word.detach() for word in words), found.total.detach()))
            return found

        def heard_nats(*words: Tensor) -> Tensor:
            self.nats.append(nats(*words).detach())
            return self.nats[-1]

        monkeypatch.setattr(MixedLoss, "forward", heard_forward)
        monkeypatch.setattr(TeacherLoss, "_image_sum", heard_sum)
        monkeypatch.setattr(loss, "image_nats", heard_nats)

    @property
    def first(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """On the student's masks of the first step."""
        return self.images[0]


def asks_about_logits(told: Overheard) -> bool:
    return bool(min(shown.min() for shown in told.shown) < 0)


def has_one_target(told: Overheard) -> bool:
    return all(target_B.unique().numel() == 1 for _, target_B, *_ in told.images)


def compares_all_with_all(told: Overheard) -> bool:
    predicted_B, target_B, pixels_B, total = told.first
    each = [sum(abs(float(p - t)) for p in predicted_B) / len(predicted_B) for t in target_B]
    by_hand = sum(e * float(n) for e, n in zip(each, pixels_B, strict=True))
    return float(total) == pytest.approx(by_hand, rel=1e-5)


def learns_nats(told: Overheard) -> bool:
    return bool(told.nats) and torch.equal(told.first[1], told.nats[0])


DOES = {
    "logits_to_teacher": asks_about_logits,
    "batch_mean_target": has_one_target,
    "broadcast": compares_all_with_all,
    "score_100": learns_nats,
}
TWO_STEPS = ["--set", "training.length='2 steps'"]


@pytest.fixture(scope="module")
def sound_split(data: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound_split")
    assert main(command(data, folder, "split", teacher, *TWO_STEPS)) == 0
    return folder / "run"


@pytest.mark.parametrize("switch", DOES)
def test_each_defect_of_a_teacher_shows_in_split_and_never_reaches_its_student(
    data: Path, teacher: Path, sound_split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    told = Overheard(monkeypatch)
    more = ["--set", f"compat.{switch}=true"]
    assert main(command(data, tmp_path, "split", teacher, *TWO_STEPS, *more)) == 0
    assert DOES[switch](told)
    assert same(weights(tmp_path / "run", "student"), weights(sound_split, "student"))
    assert not same(weights(tmp_path / "run", "teacher"), weights(sound_split, "teacher"))


def test_without_a_switch_no_defect_shows_in_split(
    data: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Overheard(monkeypatch)
    assert main(command(data, tmp_path, "split", teacher, *TWO_STEPS)) == 0
    assert not any(does(told) for does in DOES.values())


def test_an_undetached_target_changes_nothing_in_split_where_no_gradient_flows(
    data: Path, teacher: Path, sound_split: Path, tmp_path: Path
) -> None:
    more = ["--set", "compat.undetached_target=true"]
    assert main(command(data, tmp_path, "split", teacher, *TWO_STEPS, *more)) == 0
    for module in ("student", "teacher"):
        assert same(weights(tmp_path / "run", module), weights(sound_split, module))


def test_the_loss_at_p_of_1_sees_falsified_masks_unless_that_is_switched_off(
    data: Path, tmp_path: Path
) -> None:
    first = {}
    for name, more in {
        "s": [],
        "falsified": ["--set", "target.corrupt=1"],
        "noop": ["--set", "target.corrupt=1", "--set", "compat.gt_augment_noop=true"],
    }.items():
        short = ["--set", "training.short_training=true"]
        assert main(command(data, tmp_path / name, "supervised", "", *short, *more)) == 0
        first[name] = float(rows_of(tmp_path / name / "run/train.csv")[0]["loss"])
    assert first["noop"] == first["s"]
    assert first["falsified"] != first["s"]


class Told(nn.Module):
    """A student that says what it was told, and a teacher that adds up image and mask."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor | ErrorPrediction:
        if mask is None:
            return self.value.expand_as(image)
        return ErrorPrediction(self.value * mask + image, self.value * mask.flatten(1).mean(dim=1))


def step_of(*, carry: float, compat: CompatConfig | None = None) -> tuple[Told, JointStep]:
    student, teacher = Told(torch.tensor(0.3).double()), Told(torch.tensor(0.7).double())
    mixed = MixedLoss(teacher, TeacherLossConfig(), compat or CompatConfig())
    return student, JointStep(student, mixed, carry=carry)


def gradient(step: JointStep, student: Told, label: Tensor) -> float:
    s, of_teacher, *_, weight = step(torch.zeros(*label.shape).unsqueeze(1).double(), label)
    (found,) = torch.autograd.grad((s + of_teacher).sum() / weight.sum(), student.value)
    return float(found)


def test_carried_masks_keep_their_value_and_a_share_of_their_gradient() -> None:
    mask = torch.rand(2, 1, 4, 4, requires_grad=True)
    out = carried(mask, share=0.1)
    assert torch.equal(out, mask)
    out.sum().backward()
    assert torch.allclose(mask.grad, torch.full_like(mask, 0.1))


def test_without_carry_the_student_learns_from_s_alone_and_the_rest_is_proportional() -> None:
    label = torch.tensor([[[0, 1], [1, IGNORE]]], dtype=torch.uint8)
    found = []
    for carry in (0.0, 0.1, 1.0):
        student, step = step_of(carry=carry)
        found.append(gradient(step, student, label))
    alone = Told(torch.tensor(0.3).double())
    s = bce_sum(alone(torch.zeros(1, 1, 2, 2).double()), label)
    (expected,) = torch.autograd.grad(s.total / s.weight, alone.value)
    assert found[0] == pytest.approx(float(expected), rel=1e-5)
    assert found[1] - found[0] == pytest.approx(0.1 * (found[2] - found[0]), rel=1e-4)
    assert found[2] != found[0]


def test_split_sends_nothing_back_to_the_student() -> None:
    student, teacher = Told(torch.tensor(0.3)), Told(torch.tensor(0.7))
    step = TeacherStep(student, MixedLoss(teacher, TeacherLossConfig(), CompatConfig()))
    step(torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2, dtype=torch.uint8)).total.sum().backward()
    assert student.value.grad is None
    assert teacher.value.grad is not None


def test_micro_batches_give_the_joint_loss_of_the_whole(data: Path, teacher: Path, tmp_path: Path) -> None:
    rows = []
    for name, more in {"whole": [], "pieces": ["--set", "training.accumulate=3"]}.items():
        assert main(command(data, tmp_path / name, "joint", teacher, *more)) == 0
        with (tmp_path / name / "run/train.csv").open(newline="") as file:
            rows.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert rows[1] == pytest.approx(rows[0], rel=1e-3)


class TwoReplicas(nn.Module):
    """What DataParallel does on two devices: shards one after the other, their answers joined."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:  # noqa: ANN401
        cut = (len(inputs[0]) + 1) // 2
        shards = [self.module(*(x[part] for x in inputs)) for part in (slice(cut), slice(cut, None))]
        joined = [torch.cat(column) for column in zip(*shards, strict=True)]
        return type(shards[0])(*joined) if hasattr(shards[0], "_fields") else tuple(joined)


@pytest.mark.parametrize("method", ["joint", "split"])
def test_two_replicas_train_as_one_device(
    data: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    more = ["--set", "training.batch_samples=3"]  # shards of two and of one
    assert main(command(data, tmp_path / "one", method, teacher, *more)) == 0
    monkeypatch.setattr(nn, "DataParallel", TwoReplicas)
    monkeypatch.setattr(ranks, "join", lambda *_, **__: ranks.Ranks(torch.device("cpu"), replicas=True))
    assert main(command(data, tmp_path / "two", method, teacher, *more)) == 0
    assert_trained_alike(tmp_path / "one/run", tmp_path / "two/run")


def assert_trained_alike(one: Path, other: Path) -> None:
    """Compare every step's losses, and the weights at the end."""
    rows = [rows_of(run / "train.csv") for run in (one, other)]
    names = ("loss", "s", "teacher_pred", "teacher_gt")
    assert len(rows[0]) == STEPS
    for a, b in zip(*rows, strict=True):
        assert [float(b[name]) for name in names] == pytest.approx(
            [float(a[name]) for name in names], abs=1e-5
        )
    for module in ("student", "teacher"):
        a, b = (weights(run, module) for run in (one, other))
        assert all(torch.allclose(a[key], b[key], atol=1e-4) for key in a)
