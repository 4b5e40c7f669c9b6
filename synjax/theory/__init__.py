"""The theory: bounds that measured rates, distortions and divergences must obey."""
