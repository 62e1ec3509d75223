"""Deterministic changes of single items on the CPU, whose results may be cached.

Random ones run on the device.
"""
