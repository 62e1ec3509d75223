"""Tables, statistics and figures of a study, read from its run folders and from nothing else.

Knows no method by name and never imports training code or the queue: a condition is a folder, a metric is
a column.
"""
