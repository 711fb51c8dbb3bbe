"""The Python interface: a recipe loaded, opened on a device, trained, evaluated and saved.

The commands, the benchmarks and the tests use this and nothing beneath it. Imports: `translating` and below. Next:
`ablation` and `commands`.
"""
