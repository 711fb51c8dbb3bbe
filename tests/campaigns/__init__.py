"""Hostile campaigns: many seeded attempts to make a command break its rule. `python -m tests.campaigns --help`.

The rule is in `rule.py`. Each campaign is a module with one class; `registered.py` lists them.
"""
