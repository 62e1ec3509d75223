"""Several networks of one build asked together: one after the other, or as one network with stacked weights.

Both forms give the same answers up to rounding. Which one is faster depends on the size of the network and on
the device: small networks gain from stacking, large ones lose. So the first batch is timed, and the run keeps
to what was chosen: another form would change the last bits after a resume.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self, final

import torch
from torch import Tensor, nn

from pkgs.foundation.files import read_json, write_json

Form = Literal["stacked", "loop"]
FORMS: Final[tuple[Form, ...]] = ("loop", "stacked")
TURNS: Final = 3
"""How often each form is timed, by turns, after one call that warms it up."""
GAIN: Final = 1.05
"""What stacking must gain to be chosen: it holds a copy of the weights, and noise decides no run."""


@final
class Committee(nn.Module):
    """K frozen networks that answer the same question. The gradient flows to the inputs, never to them.

    Args:
        members: Equal in build. Copied where they are stacked; frozen and in evaluation mode in any case.
        form: `stacked`: one call of `torch.func.vmap` over stacked weights; needs room for a copy of them.

    Raises:
        ValueError: If there is no member, or if members that are to be stacked differ in build.
    """

    def __init__(self, members: Sequence[nn.Module], *, form: Form = "loop") -> None:
        super().__init__()
        if not members:
            raise ValueError("A committee needs at least one member.")
        self.form: Form = form
        self.size = len(members)
        self.members = nn.ModuleList(members if form == "loop" else [])
        self._stack: list[str] = []
        if form == "stacked":
            self._stack_up(members)
        self.requires_grad_(requires_grad=False)
        self.eval()

    def forward(self, *inputs: Tensor) -> Any:  # noqa: ANN401 - a tensor or a tuple of them, as members give
        """Return the answers of all members in one: each tensor with a first axis of K."""
        if self.form == "loop":
            return _stacked_answers([member(*inputs) for member in self.members])
        weights = {name: self.get_buffer(_key(name)) for name in self._stack}
        network = self._template[0]

        def ask(one: Mapping[str, Tensor]) -> Any:  # noqa: ANN401
            return torch.func.functional_call(network, dict(one), inputs)

        return torch.func.vmap(ask, randomness="different")(weights)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        if self.form == "stacked":
            self._template[0].train(mode)
        return super().train(mode)

    def _stack_up(self, members: Sequence[nn.Module]) -> None:
        _refuse_unequal(members)
        states = [member.state_dict(keep_vars=True) for member in members]
        for name in states[0]:
            stack = torch.stack([state[name].detach() for state in states])
            self.register_buffer(_key(name), stack, persistent=False)
            self._stack.append(name)
        # In a list: its own weights are never used, and must not be moved, saved or counted.
        self._template = [copy.deepcopy(members[0]).requires_grad_(requires_grad=False).to("meta")]


def faster_form(
    members: Sequence[nn.Module],
    inputs: Sequence[Tensor],
    *,
    backward: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Form, dict[str, float]]:
    """Time both forms on a batch and return the faster one, with the seconds of each.

    Args:
        members: The committee.
        inputs: A batch as the members will see it; not changed.
        backward: Whether the gradient with respect to the last input is timed as well.
        clock: Seconds; another one for tests.

    Returns:
        `loop` for members that cannot be stacked (of different builds, of an operation without a stacked
        form, or without room for a copy); then only its seconds.
    """
    calls: dict[Form, Callable[[], None]] = {}
    for form in FORMS:
        try:
            calls[form] = _call(Committee(members, form=form), inputs, backward=backward)
            calls[form]()
        except (ValueError, RuntimeError, NotImplementedError):
            if form == "loop":
                raise
            calls.pop(form, None)
    seconds: dict[str, list[float]] = {form: [] for form in calls}
    for _ in range(TURNS if len(calls) > 1 else 1):
        for form, call in calls.items():
            start = clock()
            call()
            seconds[form].append(clock() - start)
    medians = {form: statistics.median(times) for form, times in seconds.items()}
    gains = "stacked" in medians and medians["stacked"] * GAIN <= medians["loop"]
    return ("stacked" if gains else "loop"), medians


def remembered_form(file: Path, choose: Callable[[], tuple[Form, Mapping[str, float]]]) -> tuple[Form, bool]:
    """Return the form that the run in whose folder `file` lies uses, and whether it was chosen just now.

    Chosen once, before the first step, and kept: a resumed run would else end in other bits.
    """
    known = read_json(file)
    if isinstance(known, dict):
        for form in FORMS:
            if known.get("form") == form:
                return form, False
    form, seconds = choose()
    write_json(file, {"form": form, "seconds_per_batch": dict(seconds)})
    return form, True


def _call(committee: Committee, inputs: Sequence[Tensor], *, backward: bool) -> Callable[[], None]:
    device = inputs[-1].device

    def call() -> None:
        given = [*inputs[:-1], inputs[-1].detach().requires_grad_(backward)]
        with torch.set_grad_enabled(backward):
            answer = committee(*given)
            if backward:
                first: Tensor = answer if isinstance(answer, Tensor) else answer[0]
                first.sum().backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return call


def _stacked_answers(answers: Sequence[Any]) -> Any:  # noqa: ANN401
    """Return tensors, None, and tuples of these, stacked member by member."""
    first = answers[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.stack(list(answers))
    values = [_stacked_answers(column) for column in zip(*answers, strict=True)]
    return type(first)(*values) if hasattr(first, "_fields") else tuple(values)


def _refuse_unequal(members: Sequence[nn.Module]) -> None:
    builds = [{name: tuple(value.shape) for name, value in m.state_dict().items()} for m in members]
    kinds = {type(member) for member in members}
    for number, build in enumerate(builds[1:], start=2):
        if build != builds[0] or len(kinds) > 1:
            raise ValueError(f"Member {number} is built differently from member 1; such are asked in a loop.")


def _key(name: str) -> str:
    """Return the buffer's name: torch wants no dots in it."""
    return "stack__" + name.replace(".", "__")
