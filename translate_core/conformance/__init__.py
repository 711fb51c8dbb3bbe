"""What the engine relies on, tried on every component of a plugin: `translate-plugins check`.

A promise is one sentence, why it matters, and a trial; there is a file of them for each kind of component.
"""
