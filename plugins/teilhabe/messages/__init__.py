"""Messages to the offices and the operators: what they say, when they may go out, how they get there - each of them once."""
