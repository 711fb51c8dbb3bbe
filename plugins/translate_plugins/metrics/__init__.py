"""Metrics: numbers about test images."""
