"""What a plugin implements: one file for each kind of component, the objects that these are given, and the hook.

Every public name of this package is exported by `translate_core` and described on docs/contract.md. Imports:
`runtime` and `errors`. Start with `method.py`, then `loss.py`; `hook.py` is how a plugin is found. Next: `components`.
"""
