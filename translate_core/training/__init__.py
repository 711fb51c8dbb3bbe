"""From a resolved recipe to weights.

`shape_check.py` evaluates everything once on meta tensors, `build.py` allocates, `trainer.py` runs the phases of
`phase.py` step by step, `evaluation.py` draws samples and computes metrics. Imports: `storage` and below. Next:
`experiment` for how a run is started, `translating` for how it is applied.
"""
