"""Small runnable files, one job each: `python -m recipes` lists them."""
