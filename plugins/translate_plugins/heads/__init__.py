"""Heads: networks whose input is features at the taps of a generator."""
