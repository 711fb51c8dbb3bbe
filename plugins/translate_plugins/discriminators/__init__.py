"""Discriminators: networks that score how real an image looks."""
