"""Validate a strategy, benchmark or generator by using it, one file each."""
