"""All figures that need a GPU, in one session of some minutes."""
