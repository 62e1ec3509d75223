"""2,000 runs of mixed sizes on pretended cards through a real manager: no overbooking, nobody forgotten."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.builders.managers import Queue, queue_in, row
from tests.builders.worlds import chance

CARD_MIB = 24 * 1024
SIZES = ({"gpus": "0"}, {"gpus": "1"}, {"gpus": "2"}, {"gpus": "4"}, {"gpus": "8"})
SHARES = ({"gpu_mem": "6G"}, {"gpu_mem": "8G"}, {"gpu_mem": "20G"}, {"gpus": "2", "gpu_mem": "8G"})


def overbooked(queue: Queue) -> list[str]:
    """Return every moment at which a card had more than it holds, or company beside a run alone."""
    query = "SELECT devices, reserve_mib, start_unix_s, end_unix_s FROM attempts WHERE devices != ''"
    moments: list[tuple[float, int, str, int | None]] = []
    for devices, reserve_mib, start, end in queue.ask(query):
        for uuid in devices.split():
            moments += [(start, 1, uuid, reserve_mib), (end, -1, uuid, reserve_mib)]
    used_mib: Counter[str] = Counter()
    wrong = []
    for at, step, uuid, reserve_mib in sorted(moments):
        used_mib[uuid] += step * (CARD_MIB if reserve_mib is None else reserve_mib)
        if used_mib[uuid] > CARD_MIB:
            wrong.append(f"{uuid} held {used_mib[uuid]} MiB at {at}")
    return wrong


@pytest.mark.slow
def test_two_thousand_mixed_runs_overbook_no_card_and_starve_nobody(tmp_path: Path) -> None:
    source = chance(7)
    with queue_in(tmp_path) as queue:
        jobs = []
        for number in range(400):
            cells = source.choice(SIZES + SHARES)
            jobs.append(row(f"s{number // 4}/j{number}", "sleep 0.02", seeds="0..4", **cells))
        queue.write(*jobs)
        ended = queue.run_until_idle("--gpus", "sim:8x24G", "--cpu-slots", "4", within_s=500)
        assert ended.returncode == 0, ended.stdout[-2000:]
        assert queue.ask("SELECT count(*) FROM attempts") == [(2000,)]
        assert {line["progress"] for line in queue.rows().values()} == {"5 of 5"}
        assert overbooked(queue) == []
