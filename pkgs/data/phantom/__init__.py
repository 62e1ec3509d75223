"""The synthetic electron-microscopy set `cem_phantom`; nothing of it is real data."""
