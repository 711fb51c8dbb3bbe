"""Metrics: numbers computed on test images."""
