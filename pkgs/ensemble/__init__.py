"""Members and how they are combined and judged: committees, means, segmentation scores over a data set.

A single network is an ensemble of one. Importing it loads nothing heavy.
"""
