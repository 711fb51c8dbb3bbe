"""From YAML to a resolved recipe, and the JSON Schema that editors use.

Files and overrides are read (`overrides.py`), each block is validated against its component's signature
(`resolver.py`), and the result is plain data (`resolved.py`). Nothing is opened or allocated. Imports: `components` and
below. Next: `training`.
"""
