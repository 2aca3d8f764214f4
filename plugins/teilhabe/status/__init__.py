"""How things stand, for the people who run them."""
