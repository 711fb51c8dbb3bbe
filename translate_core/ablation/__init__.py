"""A recipe that varies another one: its file, its runs, its table.

`file.py` parses the file, `validation.py` validates every variant before the first is trained, `session.py` trains the
trials, and `report.py` and `table.py` write the table. Imports: `experiment` and below. Next: `commands`.
"""
