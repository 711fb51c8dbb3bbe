"""Pools: which fakes a discriminator sees."""
