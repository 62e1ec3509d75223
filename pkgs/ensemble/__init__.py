"""Members and how they are combined and judged: committees, means, segmentation scores over a data set.

A single network is an ensemble of one. As the lowest package above data and trainings it opens the data of
runs, too. Importing it loads nothing heavy.
"""
