"""Generators: networks that translate an image of one domain into another."""
