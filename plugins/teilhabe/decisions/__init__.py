"""What a person decides about a delivery, at the desk or on the command line: always with a reason, always on record."""
