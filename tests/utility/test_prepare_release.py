"""The commands that bring the two releases into a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import types
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pkgs.data.release import RELEASES
from pkgs.data.whole_folder import digest_tree
from tests.builders.cem_1500k import write_cem_1500k
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.builders.range_server import served
from utility.prepare_data import app

MITO, SPLIT = "CEM-MitoLab/cem_mitolab", "splits/source_seed42.csv"
FEW = ("--min-sources", "1")


def ask(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def labelled(root: Path) -> Path:
    return write_cem_mitolab(root, sources=24, patches=2)


def zipped(folder: Path, archive: Path) -> bytes:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.tif*")):
            file.write(path, path.relative_to(folder))
    return archive.read_bytes()


@pytest.mark.parametrize("level", ["", "CEM-MitoLab", MITO])
def test_a_folder_at_any_level_is_checked_and_split_and_not_changed(tmp_path: Path, level: str) -> None:
    root = labelled(tmp_path / "set") / level
    before = digest_tree(tmp_path / "set/CEM-MitoLab") if not level else ""
    code, text = ask("cem_mitolab", "--root", root, *FEW)
    assert code == 0, text
    assert "48 samples in 24 groups" in text
    assert "48 images; CEM-MitoLab has about 21900" in text
    assert f"{SPLIT} written: " in text
    assert (root / SPLIT).read_text().startswith("sample,group,split,digest\n")
    assert f"{SPLIT} was there already" in ask("cem_mitolab", "--root", root, *FEW)[1]
    assert not before or digest_tree(tmp_path / "set/CEM-MitoLab") == before


@pytest.mark.parametrize("level", ["", "CEM-MitoLab", MITO])
def test_an_archive_of_any_level_gives_the_folders_of_the_release(tmp_path: Path, level: str) -> None:
    raw = labelled(tmp_path / "raw")
    zipped(raw / level, tmp_path / "a.zip")
    code, text = ask("cem_mitolab", "--root", tmp_path / "set", "--archive", tmp_path / "a.zip", *FEW)
    assert code == 0, text
    assert digest_tree(tmp_path / "set" / MITO) == digest_tree(raw / MITO)
    assert (tmp_path / "set" / "checksums.sha256").read_text().endswith("  a.zip\n")


def test_an_archive_in_its_place_is_found(tmp_path: Path) -> None:
    raw = write_cem_1500k(tmp_path / "raw")
    place = tmp_path / "set/CEM1500k_unlabelled/data"
    place.mkdir(parents=True)
    zipped(raw, place / "cem1.5m.zip")
    code, text = ask("cem_1500k", "--root", tmp_path / "set")
    assert code == 0, text
    assert "9 samples in 3 groups" in text
    assert not (tmp_path / "set/splits").exists()


def test_a_download_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    data = zipped(labelled(tmp_path / "raw"), tmp_path / "a.zip")
    half, root = len(data) // 2, tmp_path / "set"
    part = root / "CEM-MitoLab/data/cem_mitolab.zip.part"
    with served(data) as site:
        words = ["cem_mitolab", "--root", str(root), "--fetch", "--url", site.url, *FEW]
        site.hang_after = half
        command = [sys.executable, "-m", "utility.prepare_data", *words]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = part.stat().st_size
        assert 0 < kept <= half
        assert not (root / MITO).exists()
        site.hang_after = 0
        site.go_on.set()
        code, text = ask(*words)
    assert code == 0, text
    assert site.asked[:2] == [0, kept]
    assert (root / "CEM-MitoLab/data/cem_mitolab.zip").read_bytes() == data
    assert digest_tree(root / MITO) == digest_tree(tmp_path / "raw" / MITO)
    assert "written: " in text


def test_an_archive_that_changed_since_the_first_time_is_refused(tmp_path: Path) -> None:
    zipped(labelled(tmp_path / "raw"), tmp_path / "a.zip")
    words = ("cem_mitolab", "--root", tmp_path / "set", "--archive", tmp_path / "a.zip", *FEW)
    assert ask(*words)[0] == 0
    (tmp_path / "set/CEM-MitoLab").rename(tmp_path / "aside")
    zipped(tmp_path / "raw" / MITO, tmp_path / "a.zip")
    code, text = ask(*words)
    assert code == 2
    assert "Is it whole, and the same release?" in text
    code, text = ask(*words, "--sha256", "0" * 64)
    assert code == 2
    assert "--sha256 says 000" in text


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    code, text = ask("cem_1500k", "--root", tmp_path)
    assert code == 2
    assert "--archive FILE, or --fetch (EMPIAR-11035)" in text
    code, text = ask("cem_mitolab", "--root", tmp_path, "--archive", tmp_path / "no.zip")
    assert code == 2
    assert "no.zip: is no file" in text


def test_lonely_and_damaged_files_are_named_and_no_split_is_written(tmp_path: Path) -> None:
    root = labelled(tmp_path / "set")
    victim = root / MITO / "source_06/images/s6_1.tiff"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:300])
    code, text = ask("cem_mitolab", "--root", root, *FEW)
    assert code == 2
    assert "s6_1.tiff" in text
    assert not (root / "splits").exists()
    victim.write_bytes(whole)
    (root / MITO / "source_07/masks/s7_0.tif").unlink()
    code, text = ask("cem_mitolab", "--root", root, *FEW)
    assert code == 2
    assert "1 files without a partner: source_07/s7_0 (no mask)" in text


def test_a_split_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    root = labelled(tmp_path / "set")
    assert ask("cem_mitolab", "--root", root, *FEW)[0] == 0
    code, text = ask("cem_mitolab", "--root", root, "--min-sources", "3")
    assert code == 2
    assert "was made with other settings" in text


def workbook_of(rows: list[tuple[object, ...]], sheet: str = "MetaData") -> types.ModuleType:
    """Return what stands for openpyxl here: one sheet of these rows."""
    page = types.SimpleNamespace(iter_rows=lambda **_: iter(rows))

    class Book(dict[str, object]):
        sheetnames = (sheet,)

    module = types.ModuleType("openpyxl")
    module.load_workbook = lambda *_, **__: Book({sheet: page})  # type: ignore[attr-defined]
    return module


HEADER = ("Sample UID", "Imaging Method", "Organism", "Pixel size X")


def test_what_a_workbook_says_of_the_sources_is_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [HEADER, ("Source 00", "FIB-SEM", "mouse", 8), ("source_01", None, "yeast", None), (None, 1, 2, 3)]
    monkeypatch.setitem(sys.modules, "openpyxl", workbook_of(rows))
    root = labelled(tmp_path / "set")
    code, text = ask("cem_mitolab", "--root", root, "--workbook", tmp_path / "a.xlsx", *FEW)
    assert code == 0, text
    assert (root / "sources.csv").read_text().splitlines()[:4] == [
        "source,imaging,organism,pixel_size_x",
        "source_00,FIB-SEM,mouse,8",
        "source_01,unknown,yeast,unknown",
        "source_02,unknown,unknown,unknown",
    ]
    assert "22 sources are not in the workbook" in text


def test_a_workbook_that_cannot_be_used_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = labelled(tmp_path / "set")
    words = ("cem_mitolab", "--root", root, "--workbook", tmp_path / "a.xlsx", *FEW)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "needs openpyxl (pip install openpyxl)" in ask(*words)[1]
    monkeypatch.setitem(sys.modules, "openpyxl", workbook_of([("Sample UID", "Organism")]))
    assert "has no column 'Imaging Method', 'Pixel size X'" in ask(*words)[1]
    monkeypatch.setitem(sys.modules, "openpyxl", workbook_of([], sheet="Other"))
    assert "has no sheet 'MetaData'; it has Other" in ask(*words)[1]
    own = root / RELEASES["cem_mitolab"].workbook
    own.parent.mkdir(parents=True)
    own.touch()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    code, text = ask("cem_mitolab", "--root", root, *FEW)
    assert code == 0  # the release's own is a bonus
    assert "The sources stay undescribed" in text


@pytest.mark.parametrize("name", ["cem_mitolab", "cem_1500k"])
def test_the_help_shows_examples(name: str) -> None:
    code, text = ask(name, "--help")
    assert code == 0
    assert f"python -m utility.prepare_data {name} --root datasets/cem --fetch" in text
