"""Whether a delivery is right: what its contract and its expectations say of every row and of the whole."""
