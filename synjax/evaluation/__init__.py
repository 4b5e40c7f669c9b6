"""From a checkpoint to rows, independent of training."""
