"""Which code a run would start with: the commit, and digests of the files that its command names.

Noted when a row is first seen and at each start; a difference is said in `message` and marked in the report.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pkgs.foundation.provenance import commit_of, digest_file

LIMIT_BYTES: Final = 5_000_000
"""A larger file in a command is data, not code."""

MOST_FILES: Final = 100
"""Of a package; enough for any of ours."""

_WORD = re.compile(r"[^\s'\"=;|&<>()]+")
_MODULE = re.compile(r"-m\s+([A-Za-z_][\w.]*)")
_EXTENDS = re.compile(rb"^extends:\s*['\"]?([^\s'\"#]+)", re.MULTILINE)


class CodeDigests:
    """Digests with a memory, so that ten thousand rows that name one file read it once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[Path, tuple[tuple[int, int], str]] = {}
        self._commit: tuple[float, str | None] = (-1.0, None)

    def commit(self, *, now_unix_s: float) -> str | None:
        """Return the commit of the working folder, at most two seconds old."""
        if not 0 <= now_unix_s - self._commit[0] < 2:
            self._commit = (now_unix_s, commit_of(self.folder))
        return self._commit[1]

    def files(self, command: str) -> dict[str, str]:
        """Return the digest of each file that `command` names, with the file a config extends."""
        modules = [path for name in _MODULE.findall(command) for path in self._module(name)]
        named = [*_WORD.findall(command), *modules]
        digests: dict[str, str] = {}
        for word in named:
            path = self.folder / word
            digest = self._digest(path)
            if digest is None:
                continue
            digests[word] = digest
            if path.suffix in (".yaml", ".yml"):
                digests.update(self._extended(path))
        return digests

    def _module(self, name: str) -> list[str]:
        """Return the files of a module; of a package all that stand beside its `__main__`."""
        path = name.replace(".", "/")
        inside = sorted((self.folder / path).glob("*.py"))[:MOST_FILES]
        return [f"{path}.py", *(f"{path}/{file.name}" for file in inside)]

    def _extended(self, path: Path) -> dict[str, str]:
        found = _EXTENDS.search(path.read_bytes())
        if found is None:
            return {}
        parent = path.parent / found.group(1).decode(errors="replace")
        digest = self._digest(parent)
        return {} if digest is None else {str(parent.relative_to(self.folder)): digest}

    def _digest(self, path: Path) -> str | None:
        try:
            facts = path.stat()
            if not path.is_file() or facts.st_size > LIMIT_BYTES:
                return None
            stamp = (facts.st_mtime_ns, facts.st_size)
            known = self._files.get(path)
            if known is None or known[0] != stamp:
                known = self._files[path] = (stamp, digest_file(path))
        except (OSError, ValueError):  # ValueError: a word with a NUL byte is no path
            return None
        return known[1]


def difference(first: dict[str, str], now: dict[str, str]) -> str:
    """Return what changed since the row was first seen, in a sentence; empty when nothing did."""
    changed = sorted(name for name in first.keys() & now.keys() if first[name] != now[name])
    if not changed:
        return ""
    names = ", ".join("the commit" if name == "commit" else name for name in changed)
    return f"{names} changed since this job was queued: its seeds may not be comparable"
