"""Initialisations: how the weights of a new network are drawn."""
