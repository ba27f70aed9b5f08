"""Decode every file of a data set once, and list the files that cannot be used, with reasons."""
