"""Code shared by the recipes: settings, data, model, optimizer, command line."""
