"""A new dataset, proposed from one of its files."""
