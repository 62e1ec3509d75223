"""What the manager may hand out, and what an attempt sees of it."""

from __future__ import annotations

import pytest

from pkgs.jobqueue.devices.inventory import DeviceReading
from pkgs.jobqueue.devices.visible import (
    AllGpus,
    NamedGpus,
    NoGpus,
    SimulatedGpus,
    choose_devices,
    device_environment,
    parse_gpus,
)

FOUR = tuple(DeviceReading(f"GPU-{letter}00{n}", str(n), "Pretended") for n, letter in enumerate("aabc"))
WITH_MIG = (
    DeviceReading("GPU-full", "0"),
    DeviceReading("MIG-one", "1:0", parent="GPU-split"),
    DeviceReading("MIG-two", "1:1", parent="GPU-split"),
)


def test_each_spelling_of_gpus_is_read() -> None:
    assert parse_gpus("all") == AllGpus()
    assert parse_gpus(" none ") == NoGpus()
    assert parse_gpus("0, 2,0") == NamedGpus(("0", "2"))
    assert parse_gpus("GPU-8932f937,MIG-5c89,1:0") == NamedGpus(("GPU-8932f937", "MIG-5c89", "1:0"))
    assert parse_gpus("sim:2x24G") == SimulatedGpus((24_576, 24_576))


@pytest.mark.parametrize("text", ["", "-1", "0,", "some", "GPU-", "all,0", "0;1", "cuda:0", "1:0:0"])
def test_other_spellings_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"--gpus: .* is not 'all', 'none', an index"):
        parse_gpus(text)


def test_all_without_a_bound_is_everything_and_says_nothing() -> None:
    chosen = choose_devices(FOUR, AllGpus())

    assert (chosen.uuids, chosen.sentence) == (tuple(it.uuid for it in FOUR), "")


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        ("0", [0]),
        ("2,0", [0, 2]),
        (" 1 , 3 ", [1, 3]),
        ("", []),
        ("-1", []),
        ("nonsense", []),
        ("NoDevFiles", []),
        ("0,-1,2", [0]),
        ("1,nonsense,2", [1]),
        ("7", []),
        ("GPU-b002", [2]),
        ("GPU-b", [2]),
        ("GPU-a", []),  # two cards begin so: CUDA takes neither
        ("GPU-", []),
        ("3,3", [3]),
        ("0,1,2,3", [0, 1, 2, 3]),
    ],
)
def test_what_the_manager_was_given_bounds_what_it_hands_out(given: str, numbers: list[int]) -> None:
    chosen = choose_devices(FOUR, AllGpus(), given=given)

    assert chosen.uuids == tuple(FOUR[n].uuid for n in numbers)
    assert f"CUDA_VISIBLE_DEVICES={given!r}" in chosen.sentence
    assert ("Start the manager without it to use all." in chosen.sentence) == (len(numbers) < 4)


def test_the_sentence_names_the_cards_and_the_entry_that_is_none() -> None:
    assert "bounds the queue to GPU 1, 3 of 4." in choose_devices(FOUR, AllGpus(), given="1,3").sentence
    assert "shows no GPU of this machine" in choose_devices(FOUR, AllGpus(), given="-1").sentence
    assert "'x' in it names no single GPU" in choose_devices(FOUR, AllGpus(), given="1,x").sentence


def test_indices_of_mixed_cards_in_unknown_order_are_said_to_be_uncertain() -> None:
    mixed = (*FOUR, DeviceReading("GPU-z", "4", "Another"))
    uncertain = choose_devices(mixed, AllGpus(), given="1", given_in_pci_order=False)

    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in uncertain.sentence
    assert "PCI" not in choose_devices(mixed, AllGpus(), given="1").sentence
    assert "PCI" not in choose_devices(FOUR, AllGpus(), given="1", given_in_pci_order=False).sentence


def test_slices_are_chosen_by_uuid_index_or_their_card() -> None:
    for name in ("MIG-two", "1:1"):
        assert choose_devices(WITH_MIG, AllGpus(), given=name).uuids == ("MIG-two",)
    for name in ("1", "GPU-split"):
        assert choose_devices(WITH_MIG, NamedGpus((name,))).uuids == ("MIG-one", "MIG-two")


def test_named_cards_are_taken_in_pci_order_within_the_bound() -> None:
    chosen = choose_devices(FOUR, NamedGpus(("2", "0")), given="0,1,2")

    assert chosen.uuids == (FOUR[0].uuid, FOUR[2].uuid)
    assert choose_devices(FOUR, NoGpus(), given="0").uuids == ()


def test_a_card_outside_the_bound_or_unknown_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"GPU 3 \(GPU-c003\) is there, but CUDA_VISIBLE_DEVICES='0'"):
        choose_devices(FOUR, NamedGpus(("0", "3")), given="0")
    with pytest.raises(ValueError, match=r"'9' names no single GPU .* There are: 0 \(GPU-a000\), 1"):
        choose_devices(FOUR, NamedGpus(("9",)))


def test_an_attempt_sees_its_uuids_and_a_cpu_run_sees_nothing() -> None:
    assert device_environment(["GPU-b002", "GPU-a000"]) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "GPU-b002,GPU-a000",
        "NVIDIA_VISIBLE_DEVICES": "GPU-b002,GPU-a000",
    }
    assert device_environment([])["CUDA_VISIBLE_DEVICES"] == ""
    assert device_environment(["GPU-b002"], indices=["2"])["CUDA_VISIBLE_DEVICES"] == "2"
