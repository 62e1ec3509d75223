"""The benchmark of the training core: its arithmetic, tables and JSON with made-up rooms; never a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import training
from benchmarks.figures import Figures
from benchmarks.limits import MACHINE, measure_compute
from benchmarks.side_by_side import Measured
from benchmarks.training import ROOMS, Room, choose_rooms, main, measure
from benchmarks.training_tables import BEGIN, END, as_json, judge, render

PLAIN = (
    "cache_vs_manager", "cache_vs_monai", "cache_vs_copy", "transforms_vs_kornia", "transforms_vs_monai",
    "loop_overhead", "calibration_vs_torchmetrics",
)  # fmt: skip


def made(name: str = "cache_vs_manager", **changes: object) -> Measured:
    settings: dict[str, object] = {
        "name": name, "ours": (200.0, 240.0, 210.0), "peer": (20.0, 20.0, 10.0), "unit": "items/s",
        "higher_is_better": True, "target": 10.0, "peer_name": "Manager().dict()",
    }  # fmt: skip
    return Measured(**{**settings, **changes})  # type: ignore[arg-type]


def overhead() -> Measured:
    times = {"ours": (0.0102, 0.0101, 0.0103), "peer": (0.01, 0.01, 0.01)}
    return made("loop_overhead", **times, unit="s/step", higher_is_better=False, target=1 / 1.03)


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Room]:
    """One room that gives what it owes, one that fails, one that gives too little, one that is missing."""

    def good(*, repeats: int, quick: bool) -> list[Measured]:
        return [made(ours=(200.0,) * repeats, peer=(20.0,) * repeats, note=f"quick {quick}"), overhead()]

    def bad(*, repeats: int, quick: bool) -> list[Measured]:
        raise OSError("no space\nleft")

    def poor(*, repeats: int, quick: bool) -> list[Measured]:
        return []

    for name, act in (("good", good), ("bad", bad), ("poor", poor)):
        module = ModuleType(f"benchmarks.made_up_{name}")
        module.measure = act  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    table = {
        "good": Room("benchmarks.made_up_good", ("cache_vs_manager", "loop_overhead")),
        "bad": Room("benchmarks.made_up_bad", ("transforms_vs_kornia",)),
        "poor": Room("benchmarks.made_up_poor", ("cache_vs_copy",)),
        "absent": Room("benchmarks.made_up_absent", ("calibration_vs_torchmetrics",)),
    }
    monkeypatch.setattr(training, "ROOMS", table)
    monkeypatch.setattr(training, "in_new_process", training.carry_out)  # the rooms are in this one alone
    return table


# -- verdicts ----------------------------------------------------------------------------------------------


def test_a_speed_up_is_the_median_over_pairs_of_repeats() -> None:
    verdict = judge(made())
    assert verdict is not None
    assert (verdict.value, verdict.low, verdict.high) == (12.0, 10.0, 21.0)
    assert verdict.met


def test_the_overhead_of_the_loop_is_told_as_ours_over_bare() -> None:
    verdict = judge(overhead())
    assert verdict is not None
    assert (verdict.value, verdict.low, verdict.high) == pytest.approx((1.02, 1.01, 1.03))
    assert verdict.target == pytest.approx(1.03)
    assert verdict.met
    slow = judge(made("loop_overhead", ours=(1.1,), peer=(1.0,), higher_is_better=False, target=1 / 1.03))
    assert slow is not None
    assert not slow.met


def test_a_measure_without_a_peer_has_no_verdict() -> None:
    assert judge(made(peer=())) is None


# -- JSON --------------------------------------------------------------------------------------------------


def test_json_is_flat_and_has_ratio_range_medians_and_target() -> None:
    flat = as_json([made(), overhead()], {}, Figures())
    assert {name: flat[f"cache_vs_manager{name}"] for name in ("", ".low", ".high", ".ours", ".peer")} == {
        "": 12.0, ".low": 10.0, ".high": 21.0, ".ours": 210.0, ".peer": 20.0,
    }  # fmt: skip
    assert (flat["cache_vs_manager.target"], flat["cache_vs_manager.unit"]) == (10.0, "items/s")
    assert flat["loop_overhead"] == pytest.approx(1.02)
    assert flat["loop_overhead.target"] == pytest.approx(1.03)
    assert all(value is None or isinstance(value, float | int | str) for value in flat.values())


def test_what_is_missing_is_null_with_a_note_and_never_left_out() -> None:
    flat = as_json([made(peer=(), note="kornia is absent")], {"loop_overhead": "failed: no"}, Figures())
    assert (flat["cache_vs_manager"], flat["cache_vs_manager.note"]) == (None, "kornia is absent")
    assert (flat["loop_overhead"], flat["loop_overhead.note"]) == (None, "failed: no")


def test_the_rooms_owe_exactly_the_names_of_the_issue() -> None:
    assert tuple(name for room in ROOMS.values() for name in room.owes) == PLAIN


# -- the table ---------------------------------------------------------------------------------------------


def test_the_table_shows_median_range_target_and_verdict() -> None:
    missed = made("cache_vs_monai", ours=(20.0,), peer=(10.0,), target=5.0, peer_name="MONAI")
    page = render(
        [made(), overhead(), missed], {"x": "failed: no"}, Figures(), header="Measured", quick=False
    )
    assert (
        "| cache_vs_manager | Manager().dict() | 210 items/s (200 … 240) | 20 items/s (10 … 20) "
        "| 12 (10 … 21) | ≥ 10 | met |" in page
    )
    assert "| 10.2 ms/step (10.1 ms … 10.3 ms) | 10 ms/step (10 ms … 10 ms) | 1.020 (1.010 … 1.030)" in page
    assert "| ≥ 5 | **missed** |" in page
    assert "| x | - | - | - | - | - | failed: no |" in page
    assert "rehearsal" not in page


def test_a_rehearsal_says_that_it_is_no_result_and_notes_stand_below() -> None:
    page = render([made(note="of two\nlines.")], {}, Figures(), header="Measured", quick=True)
    assert page.startswith("**A rehearsal")
    assert "cache_vs_manager: of two lines." in page


def test_the_limits_of_the_machine_are_measured_and_shown() -> None:
    figures = Figures()
    measure_compute(figures, rounds=2, quick=True)
    assert figures.get(MACHINE, "cpu_copy_gb_per_s") is not None
    page = render([], {}, figures, header="Measured", quick=False)
    assert "| copy of 64 MiB in memory, GB/s | " in page
    assert "machine.cpu_matmul_gflop_per_s.median" in as_json([], {}, figures)


# -- the command -------------------------------------------------------------------------------------------


def test_a_room_that_fails_or_is_missing_costs_only_its_own_rows(rooms: Mapping[str, Room]) -> None:
    said: list[str] = []
    found = measure(rooms, repeats=2, quick=True, say=said.append)
    assert [one.name for one in found.measured] == ["cache_vs_manager", "loop_overhead"]
    assert found.missing == {
        "transforms_vs_kornia": "failed: OSError: no space left",
        "cache_vs_copy": "benchmarks.made_up_poor gave no such figure",
        "calibration_vs_torchmetrics": (
            "failed: ModuleNotFoundError: No module named 'benchmarks.made_up_absent'"
        ),
    }
    assert "bad: failed: OSError: no space left" in said


def test_the_command_prints_json_and_says_by_its_code_that_something_is_missing(
    rooms: Mapping[str, Room], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--repeats", "1", "--json"]) == 1
    flat = json.loads(capsys.readouterr().out)
    assert flat["cache_vs_manager"] == 10.0
    assert flat["transforms_vs_kornia"] is None
    assert main(["--quick", "--repeats", "1", "--only", "good", "--json"]) == 0


def test_the_table_goes_between_its_own_marks(
    rooms: Mapping[str, Room], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"<!-- figures:begin -->\nqueue\n<!-- figures:end -->\n{BEGIN}\nearlier\n{END}\ntail\n")
    assert main(["--quick", "--repeats", "1", "--only", "good", "--write", str(page)]) == 0
    text = page.read_text()
    assert "earlier" not in text
    assert "queue" in text
    assert "cache_vs_manager" in text.partition(BEGIN)[2].partition(END)[0]
    assert text.endswith("tail\n")
    assert "cache_vs_manager" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--only", "cahce"], "Did you mean 'cache'"), (["--write", "absent.md"], "absent.md")],
)
def test_what_cannot_be_done_is_noticed_before_the_long_part(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_rooms_can_be_named(rooms: Mapping[str, Room]) -> None:
    assert list(choose_rooms("good, bad")) == ["good", "bad"]
    assert list(choose_rooms("")) == list(rooms)


def test_no_repeats_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--repeats", "0"])
    assert "at least 1" in capsys.readouterr().err
