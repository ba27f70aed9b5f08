"""Experiments of `measure`: each spoils small runs in its own way, and counts."""
