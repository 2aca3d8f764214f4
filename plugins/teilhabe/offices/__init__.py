"""What offices are handed: forms to fill in and the page that says what was agreed."""
