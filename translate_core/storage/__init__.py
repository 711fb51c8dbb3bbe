"""What is on disk: the run folder, checkpoints, weights of single networks.

Imports: `recipe` and below. Start with `run_folder.py`. Next: `training`.
"""
