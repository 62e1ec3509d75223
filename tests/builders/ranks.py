"""Several processes of one run, forked from the test: gloo over a file, no port, no new interpreter."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from pkgs.training.ranks import Ranks

CPU = torch.device("cpu")


def in_ranks(folder: Path, act: Callable[[Ranks], object], *, world: int = 2) -> list[object]:
    """Call `act` in `world` processes and return what each returned.

    Raises:
        AssertionError: With the trace, if one failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    children = [_forked(folder, act, rank=rank, world=world) for rank in range(world)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    traces = [path.read_text() for path in sorted(folder.glob("trace_*"))]
    assert codes == [0] * world, "\n".join(traces)
    return [torch.load(folder / f"answer_{rank}", weights_only=True) for rank in range(world)]


def _forked(folder: Path, act: Callable[[Ranks], object], *, rank: int, world: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
        ranks = Ranks(CPU, rank=rank, world=world)
        torch.save(act(ranks), folder / f"answer_{rank}")
        ranks.leave(wait=True)
    except BaseException:  # noqa: BLE001 - the child must never come back into pytest
        (folder / f"trace_{rank}").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)
