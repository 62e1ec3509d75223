"""Reading, splitting, ordering and augmenting data sets, and making the synthetic one.

Knows no model, loss or loop. Only `samples`, `augment` and `prepare.resize` load torch.
"""
