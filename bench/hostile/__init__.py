"""Files that nobody would send on purpose, and some that somebody would: none may be loaded wrongly, or cost more than it may."""
