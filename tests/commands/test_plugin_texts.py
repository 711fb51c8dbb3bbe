"""Exceptions of plugins that are hard to print, and values that a contract does not permit: the plugin is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.plugin_faults import RAISED, RETURNED, PluginFaults

CASES = (
    ("dataset.fingerprint", 1, RAISED["an exception that cannot be printed"], "(its text fails: RuntimeError)"),
    ("observer.__init__", 2, RAISED["many lines"], "observer 'own' failed in __init__: RuntimeError: oh\noh"),
    ("plugin.generator", 1, RAISED["a huge message"], "failed in its `register`: RuntimeError: oh oh"),
    ("plugin.import", 1, RAISED["SystemExit that cannot be printed"], "plugin faulty.py cannot be imported: Quits"),
    ("metric.update", 3, RAISED["control characters"], "metric 'mine' of plugin faulty.py failed in"),
    ("method.after_update", 1, RAISED["StopIteration"], "plugin faulty.py failed"),
    ("network.load_state_dict", 1, RAISED["UnicodeDecodeError"], "networks/T does not fit: 'utf-8' codec"),
    ("schedule.__init__", 1, RAISED["UnicodeDecodeError"], "schedule  UnicodeDecodeError: 'utf-8' codec"),
    ("dataset.fingerprint", 1, RETURNED["an empty dict"], "`fingerprint` of Images (faulty.py) must return a text"),
    ("dataset.folders", 1, RETURNED["a generator"], "`folders` of Images (faulty.py) must be a list of paths"),
    ("train.__len__", 2, RETURNED["a meta tensor"], "`len` of Train (faulty.py) fails"),
    ("test.__getitem__", 9, RETURNED["itself in a list"], "of Test (faulty.py) must be tensors by name, not list"),
    ("test.real_A", 9, RETURNED["text"], "of Test (faulty.py) must be tensors by name, not real_A: str"),
    (
        "head.state_dict",
        1,
        RETURNED["None"],
        "networks/H cannot be saved: its `state_dict` returns NoneType, not a dict",
    ),
    ("test.name", 2, RETURNED["complex"], "`name` of Test (faulty.py) must return a text, not complex"),
    (
        "dataset.kinds",
        1,
        RETURNED["a function"],
        "`kinds` of Images (faulty.py) must be a mapping of names to texts, not function",
    ),
    ("network.state_dict", 3, RETURNED["an empty list"], "`state_dict` of Tone (faulty.py) must return a dict"),
    ("schedule.state_dict", 1, RETURNED["-1"], "`state_dict` of schedule Wave (faulty.py) must return a dict, not int"),
    ("observer.state_dict", 1, RETURNED["text"], "observer 'own': `state_dict` must return a dict, not str"),
    ("observer.stop_reason", 1, RETURNED["0"], "observer 'own': `stop_reason` must be a text, not a int"),
    ("method.rec_A", 3, RETURNED["a dict of None"], "the equation of tensor 'rec_A' of Toned (faulty.py) must return"),
    ("method.directions", 1, RETURNED["a 0-d tensor"], "method  its `directions` must be a mapping, not Tensor"),
    ("method.order", 1, RETURNED["a class"], "method  its `order` must be a tuple, not type"),
    ("sets.embedded", 1, RETURNED["bytes"], "metric 'own', Sets (faulty.py): its embedding must return a tensor"),
    ("sets.higher_is_better", 3, RETURNED["complex"], "`higher_is_better` must be true or false, not complex"),
    ("metric.protocol", 3, RETURNED["None"], "`protocol` must be a text, not NoneType"),
)


@pytest.mark.parametrize(("place", "call", "body", "message"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES])
def test_the_message(place: str, call: int, body: str, message: str, tmp_path: Path) -> None:
    returned = body in RETURNED.values()
    code = f"return {body}" if returned else body
    what = f"{place}, call {call}: {body}"
    (tmp_path / "own").mkdir()
    outcome = PluginFaults(tmp_path).fault(place, call, code, tmp_path / "own", what, raises=not returned)
    assert not outcome.broken, outcome.printed
    assert message in outcome.printed, outcome.printed


def test_a_plugin_whose_eval_returns_nothing_is_applied(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    outcome = PluginFaults(tmp_path).fault("generator.train", 1, "return None", tmp_path / "own", "x: y", raises=False)
    assert outcome.statuses == (0, 0, 0), outcome.printed
