"""A video of any length: windows in, overlays and overlap-added audio out."""
