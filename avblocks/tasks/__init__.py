"""Tasks: batch -> losses, answers, scores."""
