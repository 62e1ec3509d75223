"""Strict configuration: errors name the file, the key and the cure."""

from pathlib import Path

import pytest
from pydantic import Field

from pkgs.foundation.config import ConfigError, Section, digest, dump_yaml, load_config


class Optimiser(Section):
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate."""


class Whole(Section):
    name: str = "a"
    optimiser: Optimiser = Optimiser()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_may_extend_one_other_and_wins_over_it_key_by_key(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "name: base\noptimiser:\n  lr: 0.5\n")
    path = write(tmp_path, "child.yaml", "extends: base.yaml\nname: child\n")
    assert load_config(Whole, path) == Whole(name="child", optimiser=Optimiser(lr=0.5))


def test_a_second_level_of_extends_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "name: a\n")
    write(tmp_path, "b.yaml", "extends: a.yaml\n")
    with pytest.raises(ConfigError, match="one level is the limit"):
        load_config(Whole, write(tmp_path, "c.yaml", "extends: b.yaml\n"))


def test_an_unknown_inner_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = write(tmp_path, "c.yaml", "optimiser:\n  lrr: 1\n")
    with pytest.raises(
        ConfigError, match=r"c\.yaml: Unknown setting 'optimiser\.lrr': 'lrr'\. Did you mean 'lr'\?"
    ):
        load_config(Whole, path)


def test_a_value_out_of_range_names_file_key_and_value(tmp_path: Path) -> None:
    path = write(tmp_path, "c.yaml", "optimiser:\n  lr: -1\n")
    with pytest.raises(ConfigError, match=r"(?s)c\.yaml.*optimiser\.lr: .*greater than 0, got -1"):
        load_config(Whole, path)


def test_overrides_come_last_and_1e_4_is_a_number(tmp_path: Path) -> None:
    path = write(tmp_path, "c.yaml", "name: c\n")
    assert load_config(Whole, path, overrides=["optimiser.lr=1e-4"]).optimiser.lr == 1e-4


def test_a_file_laid_over_it_changes_what_it_names_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "c.yaml", "name: c\noptimiser: {lr: 0.1}\n")
    over = write(tmp_path, "over.yaml", "optimiser: {lr: 0.2}\n")
    config = load_config(Whole, path, overrides=[f"@{over}"])
    assert (config.name, config.optimiser.lr) == ("c", 0.2)
    assert load_config(Whole, path, overrides=[f"@{over}", "optimiser.lr=0.3"]).optimiser.lr == 0.3


def test_a_value_that_is_no_yaml_is_refused_with_the_way_to_quote_it(tmp_path: Path) -> None:
    path = write(tmp_path, "c.yaml", "name: c\n")
    with pytest.raises(ConfigError, match=r"is not YAML; quote text .*name=\"\{root\}/a\""):
        load_config(Whole, path, overrides=["name={root}/a"])


def test_only_the_given_variables_are_filled_in(tmp_path: Path) -> None:
    path = write(tmp_path, "c.yaml", "name: 'x/{seed}/{other}'\n")
    assert load_config(Whole, path, variables={"seed": "3"}).name == "x/3/{other}"


def test_a_missing_file_and_bad_yaml_are_said_with_their_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read"):
        load_config(Whole, tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match=r"bad\.yaml: is not YAML"):
        load_config(Whole, write(tmp_path, "bad.yaml", "a: [1\n"))


def test_the_dump_reads_back_to_the_same_digest(tmp_path: Path) -> None:
    config = Whole(name="z", optimiser=Optimiser(lr=0.25))
    again = load_config(Whole, write(tmp_path, "d.yaml", dump_yaml(config)))
    assert digest(again) == digest(config) != digest(Whole())
