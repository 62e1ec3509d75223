"""The method `student`: a segmentation network trained on labelled images.

Importing it loads nothing heavy.
"""
