"""What runs when nothing is said."""

DEFAULT_STRATEGY, DEFAULT_BENCHMARK, DEFAULT_OUTPUT = "ddgr", "splitdigits", "runs"
DEFAULT_EXTRACTORS = ("classifier",)
