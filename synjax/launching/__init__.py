"""Shares the runs of a sweep between processes, here or on a SLURM cluster."""
