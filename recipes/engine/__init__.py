"""The training loop and its run folder."""
