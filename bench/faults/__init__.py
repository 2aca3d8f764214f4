"""Processes and servers that are killed at any moment: nothing is lost, nothing is doubled, the next run goes on by itself."""
