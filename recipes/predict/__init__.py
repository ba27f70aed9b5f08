"""Trained models on videos: `python -m recipes.predict`."""
