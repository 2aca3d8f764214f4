"""Messages to offices and operators: what they say, when they may go out, how they get there - each of them once."""
