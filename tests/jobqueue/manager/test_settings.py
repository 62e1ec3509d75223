"""configs/queue.yaml: what is shipped are the defaults, and what is wrong is refused with the key's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.foundation.config import ConfigError
from pkgs.jobqueue.manager.settings import SETTINGS_FILE, Settings, load_settings
from tests.builders.managers import PROGRAM


def test_the_shipped_file_says_the_defaults_and_every_setting() -> None:
    path = PROGRAM.parent / SETTINGS_FILE
    assert load_settings(path) == Settings()
    text = path.read_text()
    assert all(f"\n{name}:" in text for name in Settings.model_fields)


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.yaml") == Settings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grase_s: 5", "grace_s"),
        ("grace_s: -1", "grace_s"),
        ("stall_s: 0", "stall_s"),
        ("retry_pauses_s: []", "retry_pauses_s"),
        ("retry_pauses_s: [99999]", "retry_pauses_s"),
        ("device_ids: names", "device_ids"),
        ("- a list", "queue.yaml"),
        ("a: [", "queue.yaml"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "queue.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_settings(path)


def test_every_setting_has_its_reason() -> None:
    assert all(field.description for field in Settings.model_fields.values())
