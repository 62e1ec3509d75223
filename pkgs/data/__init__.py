"""Reading, splitting, ordering and augmenting data sets, and making the synthetic one.

Knows no model, loss or loop. Only `samples` and `augment` load torch.
"""
