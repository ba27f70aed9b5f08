"""Decode every file of a data set once, and list which cannot be used and why."""
