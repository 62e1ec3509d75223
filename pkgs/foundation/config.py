"""Strict configuration: YAML in, frozen pydantic models out, unknown keys refused with the nearest name.

The one module of the foundation that loads pydantic and PyYAML. At most one `extends`, `--set a.b=value` or
`--set @FILE`, `{seed}` and `{root}` in strings, and nothing cleverer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pkgs.foundation.registry import choose


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names file, key, value and remedy."""


class Section(BaseModel):
    """A part of a run's configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


S = TypeVar("S", bound=Section)


def _section_of(annotation: object) -> type[Section] | None:
    """Return the Section inside an annotation such as `DataConfig` or `DataConfig | None`."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


def _refuse_unknown(section: type[Section], raw: Mapping[str, Any], prefix: str) -> None:
    for key, value in raw.items():
        choose(f"setting {prefix + key!r}:", section.model_fields, key)
        inner = _section_of(section.model_fields[key].annotation)
        if inner is not None and isinstance(value, Mapping):
            _refuse_unknown(inner, value, f"{prefix}{key}.")


def strict(section: type[S], raw: Mapping[str, Any], *, where: str) -> S:
    """Build `section` from parsed YAML; an unknown key is refused with the nearest known one.

    Raises:
        ConfigError: Names `where`, and every bad key with its value and what was expected.
    """
    try:
        _refuse_unknown(section, raw, "")
        return section.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, problem['loc'])) or '(whole)'}: {problem['msg']}, got {problem['input']!r}"
            for problem in error.errors()
        ]
        raise ConfigError(f"{where}:\n" + "\n".join(lines)) from None
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def load_config(
    section: type[S],
    path: Path,
    *,
    overrides: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> S:
    """Read `path`, merge it over the file it `extends`, apply overrides, fill in variables, validate.

    Args:
        section: The model of the whole file.
        path: A YAML file; its `extends:` is relative to its own folder.
        overrides: `a.b=value` each, the value in YAML's spelling, or `@FILE`, all settings of a YAML file; a
            later one wins.
        variables: What `{name}` stands for in strings; only the names given here are replaced.

    Raises:
        ConfigError: If a file is missing, not YAML, or not of this form.
    """
    raw = _read_yaml(path)
    parent = raw.pop("extends", None)
    if parent is not None:
        base = _read_yaml(path.parent / str(parent))
        if "extends" in base:
            raise ConfigError(
                f"{path}: extends {parent}, which extends another file; one level is the limit."
            )
        raw = _merged(base, raw)
    for override in overrides:
        raw = _merged(raw, _parse_override(override))
    return strict(section, _filled(raw, variables or {}), where=str(path))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Is the path right, seen from {Path.cwd()}?"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: holds a {type(raw).__name__}; expected `key: value` lines.")
    return raw


def _parse_override(override: str) -> dict[str, Any]:
    if override.startswith("@"):
        return _read_yaml(Path(override[1:]))
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise ConfigError(
            f"--set {override!r}: expected name=value or @FILE, for instance --set optimiser.lr=1e-3."
        )
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(
            f"--set {override!r}: the value is not YAML; quote text that begins with a brace or bracket: "
            f"--set '{name}=\"{text}\"'."
        ) from None
    for part in reversed(name.strip().split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both and old is not None else value
    return merged


def _filled(value: Any, variables: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever YAML holds
    if isinstance(value, str):
        for name, text in variables.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, Mapping):
        return {key: _filled(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, variables) for inner in value]
    return value


def dump_yaml(section: Section) -> str:
    """Return every setting after defaults and overrides, in the order of the model."""
    return yaml.safe_dump(section.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def digest(section: Section) -> str:
    """Return 16 hex digits that depend on every setting and not on its order in a file."""
    text = json.dumps(section.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
