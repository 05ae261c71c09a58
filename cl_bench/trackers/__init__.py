"""Trackers, one file each; found by entry points."""
