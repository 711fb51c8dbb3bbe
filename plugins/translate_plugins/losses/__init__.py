"""Losses: terms of the objective, each citing its equation."""
