"""One module per layout that a contract can name, and what they share."""
