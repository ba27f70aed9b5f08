"""Benchmark: cases, their steps, the naive implementation, measurement, tables, scaling."""
