"""The command lines: each parses arguments, calls one function of a package below, and prints.

Imports: everything; nothing imports this. A module here imports torch only after its arguments are parsed, so that
`--help` is quick.
"""
