"""The theory: limits that the numbers must obey, and the paper's statements held to the test."""
