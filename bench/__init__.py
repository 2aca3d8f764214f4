"""Benchmarks: ``python -m bench``. They measure and report; nothing here passes or fails by a time."""
