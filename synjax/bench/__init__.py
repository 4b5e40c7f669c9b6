"""What this machine does per second, measured: one file per thing that is measured."""
