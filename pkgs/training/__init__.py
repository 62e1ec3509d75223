"""The loop and what it needs: schedule, checkpoints, tables, heartbeat, metrics.

It knows no method and no data.
"""
