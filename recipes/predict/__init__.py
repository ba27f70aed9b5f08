"""What `predict` does: windows of a video, what models find in them, and how that is shown."""
