"""The codec: transforms, priors, and the bytes between them."""
