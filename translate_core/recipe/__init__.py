"""From YAML to a resolved recipe, and the JSON Schema that editors use.

`load.py` is the whole way: a file is read (`file.py`), overrides are applied (`overrides.py`), every part is validated
(`resolver.py`, which calls one file for each part), and the result is a `ResolvedRecipe` (`resolved.py`). Nothing is
opened or allocated. Imports: `components` and below. Next: `training`.
"""
