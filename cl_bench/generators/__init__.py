"""Class-conditional generators, one file per family; found by entry points."""
