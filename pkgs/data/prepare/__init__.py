"""Deterministic changes of single items on the CPU, whose results may be cached; one file each.

Random ones are another type and run on the device.
"""
