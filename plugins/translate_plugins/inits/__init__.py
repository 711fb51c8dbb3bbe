"""Initialisations of the weights of a new network."""
