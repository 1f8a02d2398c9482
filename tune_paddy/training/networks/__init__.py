"""Architectures, pretrained parameters, and the networks made of both."""
