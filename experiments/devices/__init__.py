"""What is killed, damaged or starved, and what is left of it."""
