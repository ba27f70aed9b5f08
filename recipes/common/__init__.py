"""What recipes share: settings, data, model, optimizer, command line."""
