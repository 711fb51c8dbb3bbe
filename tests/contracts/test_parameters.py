"""The parameters of a component."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from translate_core import UserError
from translate_core.contracts.parameters import parameters_of


def test_all_of_them() -> None:
    module = nn.Linear(2, 3)
    assert [parameter.shape for parameter in parameters_of(module)] == [(3, 2), (3,)]


class Odd(nn.Linear):
    """Its parameters are the keys of a dict."""

    def parameters(self, recurse: bool = True) -> Any:
        return {"weight": self.weight}


def test_anything_else() -> None:
    with pytest.raises(UserError, match=r"^`parameters` of Odd .*must return parameters, not str$"):
        parameters_of(Odd(2, 3))
