"""Task streams, one file per data set or family; found by entry points."""
