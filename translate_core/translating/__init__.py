"""A trained run applied to images.

Imports: `training` and below. Start with `translator.py`. Next: `experiment`.
"""
