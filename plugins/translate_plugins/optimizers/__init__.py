"""Optimizers: functions that return an optimizer of torch for a list of parameters."""
