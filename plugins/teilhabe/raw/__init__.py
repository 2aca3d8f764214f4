"""Raw tables: what was delivered, as text, append-only."""
