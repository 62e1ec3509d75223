"""Deterministic changes of items before they are cached; one file each. Random changes are another type."""
