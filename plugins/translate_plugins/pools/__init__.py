"""Pools of past fakes for discriminators."""
