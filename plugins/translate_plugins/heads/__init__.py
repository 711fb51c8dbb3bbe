"""Heads: networks on features at the taps of a generator."""
