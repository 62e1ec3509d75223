"""The study of label noise: which labels are wrong, where, and what should they be.

Importing it loads nothing heavy.
"""
