"""Training of one member: the only place that knows torch, fastai and timm."""
