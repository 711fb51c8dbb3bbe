"""The built-in components of translate: one folder a kind, one file a component family."""
