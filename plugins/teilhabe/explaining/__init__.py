"""Where a figure comes from, and why there is none."""
