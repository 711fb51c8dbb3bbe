"""A recipe that varies another one: its file, its runs, its table.

Imports: `experiment` and below. Start with `file.py`. Next: `commands`.
"""
