"""Discriminators: networks that judge whether an image is real."""
