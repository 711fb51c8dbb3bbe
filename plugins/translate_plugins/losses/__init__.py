"""Losses: terms of the game, each citing its equation."""
