"""Opening media: videos, audio files, image files."""
