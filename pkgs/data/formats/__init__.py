"""Decoding single files, shared by the readers."""
