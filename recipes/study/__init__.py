"""Studies: many runs of recipes, and the tables of what they come to."""
