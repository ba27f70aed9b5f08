"""Experiments of `study_reliability`: each spoils small runs in its own way, and counts."""
