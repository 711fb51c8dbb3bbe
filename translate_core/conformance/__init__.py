"""The conformance kit: checks that a plugin's components keep what the engine relies on, for `translate-plugins check`.

A promise is one sentence, the reason why it matters, and a check. Each kind of component has its own file or package
of promises. Imports: `training` and below. Start with `promise.py` and `check.py`.
"""
