"""Components found, registered and described: plugins, the registry, signatures as schemas, docstrings.

A registry is built for each run; there is no global one. Imports: `contracts` and below. Start with `plugins.py`, then
`registry.py`, `signature.py` and `blocks.py`. Next: `recipe`.
"""
