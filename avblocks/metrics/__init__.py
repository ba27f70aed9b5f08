"""Metrics: pure functions."""

from avblocks.metrics.neighbour import leave_one_out as leave_one_out
