"""What is wrong, in parts, until somebody reads it: the sentences, what follows from what, what datasets contradict."""
