"""The promises about documentation, which are advice."""

from __future__ import annotations

import pytest
from torch import nn

from tests.conformance.broken import beside_the_built_ins
from translate_core import Loss
from translate_core.conformance.check import check_documentation
from translate_core.conformance.documentation import PROMISES
from translate_core.conformance.promise import Status


class Wordless(Loss):
    def __init__(self, size: int = 1, depth: int = 2) -> None:
        super().__init__()


class Stale(Loss):
    """A loss.

    Args:
        size: of it.
        width: gone.
    """

    def __init__(self, size: int = 1) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("component", "findings"),
    [
        (Wordless, ["it has no docstring", "the section `Args:` does not describe size, depth"]),
        (Stale, ["the section `Args:` describes width, which is not an option"]),
    ],
)
def test_missing_documentation_is_advice(component: type[Loss], findings: list[str]) -> None:
    results = check_documentation(*beside_the_built_ins("loss", component))
    assert [outcome.detail for outcome in results.outcomes if outcome.status is Status.ADVICE] == findings
    assert all(promise.advice and promise.why for promise in PROMISES)


def test_what_a_method_supplies_may_be_described() -> None:
    class Styled(nn.Module):
        """A mapping network.

        Args:
            style_channels: length of a style.
            width: of its layers.
        """

        def __init__(self, style_channels: int, *, width: int = 4) -> None:
            super().__init__()

    results = check_documentation(*beside_the_built_ins("network", Styled))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
