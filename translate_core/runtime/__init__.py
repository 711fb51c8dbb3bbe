"""What the rest stands on: device, ranks, randomness, signals, the console, files and YAML.

Nothing here depends on recipes or components. Imports: `errors` only. Next: `contracts`.
"""
