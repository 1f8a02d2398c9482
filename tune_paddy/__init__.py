"""tune_paddy: a Ray Tune-driven ensemble search for image classification."""

__version__ = "0.1.0"
