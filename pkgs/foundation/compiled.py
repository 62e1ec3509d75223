"""Functions for numba: compiled at their first call, kept on disk for every later process.

numba keeps machine code beside the source, or where that folder is read-only in the user's cache folder
(`NUMBA_CACHE_DIR` names another), by source, processor and types of the arguments. Where it can be kept
nowhere, each process compiles anew, which takes seconds. There is no way around numba itself: where it cannot
compile, its error stands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, final

FAST: Final = {"contract", "nsz"}
"""Liberties of the compiler: fused multiply and add, and the sign of zero. NaN and infinity are kept."""


@final
class Compiled:
    """A function in the part of Python that numba compiles; it runs without the interpreter's lock.

    Use as a decorator, in a module that is imported where it is first needed: numba takes 0.3 s to import.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - whatever the function takes
        return self._compiled(*arguments)

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        from numba import njit  # noqa: PLC0415 - heavy

        options = {"nogil": True, "error_model": "numpy", "fastmath": FAST}
        try:
            compiled: Callable[..., Any] = njit(cache=True, **options)(self.function)
        except RuntimeError:  # no folder that can be written to
            compiled = njit(**options)(self.function)
        return compiled
