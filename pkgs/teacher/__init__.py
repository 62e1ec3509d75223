"""The method `teacher`: a network that learns to predict where a mask is wrong.

Importing it loads nothing heavy.
"""
