"""The rules themselves: sums, changes, completeness, secrecy, and what every observation has to be."""
