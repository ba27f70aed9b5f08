"""All GPU benchmarks, in one session of a few minutes."""
