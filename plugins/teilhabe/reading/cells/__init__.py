"""What stands in one cell: a key, a label, a period, a symbol, a number."""
