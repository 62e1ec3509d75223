"""One file per folder layout: which samples are there, and where."""
