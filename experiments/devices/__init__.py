"""The same training on one device and on many."""
