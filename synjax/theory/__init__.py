"""What the numbers must obey: the paper's definitions and statements, on sources small enough."""
