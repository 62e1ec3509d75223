"""All queues of the benchmark, by name: the measured ones, and those only named, with the reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from benchmarks.contestant import PEERS_FOLDER, Contestant
from benchmarks.daemons import Huey, Nq, Runqd, TaskSpooler
from benchmarks.list_runners import GnuParallel, Gpusched, SimpleGpuScheduler, Xargs
from benchmarks.ours import Ours

OURS: Final = Ours()
CONTESTANTS: Final[Mapping[str, Contestant]] = {
    contestant.name: contestant
    for contestant in (
        OURS, TaskSpooler(), SimpleGpuScheduler(), Gpusched(), Gpusched(poll_s=0.05), Runqd(), Huey(), Nq(),
        GnuParallel(), Xargs(),
    )
}  # fmt: skip
NEVER_MEASURED: Final[Mapping[str, str]] = {
    "pueue": "no Debian package, and nothing is compiled here",
    "dvc": "its queue runs experiments of a Git repository, not commands",
    "gpuqu": "its licence forbids commercial use, so it is no part of an automatic benchmark",
    "Slurm": "needs a configured cluster daemon, munge and root",
}
PYPI_PEERS: Final = ("simple-gpu-scheduler==0.1.4", "gpusched==0.4.0", "huey==3.5.4", "runqd==0.4.18")


def install_peers() -> None:
    """Fill the peers' own environment, without dependencies: none of them needs any to run here."""
    subprocess.run([sys.executable, "-m", "venv", str(PEERS_FOLDER)], check=True)
    (PEERS_FOLDER / ".gitignore").write_text("*\n")
    pip = [str(PEERS_FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *PYPI_PEERS], check=True)
