"""An example package with one strategy for cl-bench."""
