"""Trained models in the browser: `python -m recipes.demo`."""
