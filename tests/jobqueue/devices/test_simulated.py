"""Pretended cards."""

from __future__ import annotations

import pytest

from pkgs.jobqueue.devices.simulated import SimulatedSource, parse_simulated


def test_groups_of_cards_are_parsed_into_their_sizes() -> None:
    assert parse_simulated("8x24G") == (24_576,) * 8
    assert parse_simulated("1x80G + 2x23.5gb") == (81_920, 24_064, 24_064)
    assert parse_simulated("1x512M") == (512,)


@pytest.mark.parametrize(
    "text", ["", "8", "x24G", "8x", "0x24G", "8x0G", "8x24", "8x24T", "-1x24G", "8x24G+", "99999x1G"]
)
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a number of cards and their memory, such as sim:8x24G"):
        parse_simulated(text)


def test_pretended_cards_are_idle_and_keep_their_names() -> None:
    source = SimulatedSource(parse_simulated("1x80G+1x24G"), clock=lambda: 7.0)
    inventory = source.read()
    source.close()

    assert (inventory.kind, inventory.problem, inventory.taken_s) == ("simulated", None, 7.0)
    assert [(it.uuid, it.index, it.total_mib, it.used_mib) for it in inventory.readings] == [
        ("SIM-0", "0", 81_920, 0),
        ("SIM-1", "1", 24_576, 0),
    ]
    assert source.newest().readings == inventory.readings
