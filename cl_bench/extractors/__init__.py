"""The feature extractors that come with cl-bench."""
