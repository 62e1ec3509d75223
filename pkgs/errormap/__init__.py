"""The engine of error teachers: what they are trained on, how their answer is read, corrected and judged.

Serves every method in which a network predicts where a mask is wrong. Importing it loads nothing heavy.
"""
