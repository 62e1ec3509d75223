"""Derived seeds: fixed for ever, and apart for every purpose and counter."""

from pkgs.foundation.seeds import Purpose, derive


def test_the_numbers_never_change_between_versions() -> None:
    assert derive(3, Purpose.ORDER, 0) == derive(3, Purpose.ORDER, 0)
    assert derive(42, Purpose.SPLIT) == 16784746373537102771


def test_no_two_of_many_neighbouring_arguments_collide() -> None:
    draws = {
        derive(seed, purpose, epoch, k)
        for seed in range(8)
        for purpose in Purpose
        for epoch in range(8)
        for k in range(8)
    }
    assert len(draws) == 8 * len(Purpose) * 64


def test_a_counter_and_its_spelling_differ() -> None:
    assert derive(0, Purpose.CROP, 1) != derive(0, Purpose.CROP, "1")
