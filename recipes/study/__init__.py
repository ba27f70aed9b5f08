"""Studies: many runs of recipes, and tables of their results."""
