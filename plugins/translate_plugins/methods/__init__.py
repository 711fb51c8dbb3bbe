"""Methods: networks, equations and the order of updates."""
