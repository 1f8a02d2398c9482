"""Label doctor: find labels that contradict out-of-sample predictions."""
