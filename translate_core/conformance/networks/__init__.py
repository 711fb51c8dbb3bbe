"""The promises of networks, of all kinds, one file for each concern.

`subject.py` has the component and the calls that it receives in a run; the other files have promises.
"""

from translate_core.conformance.networks.conditions import depends_on_conditions
from translate_core.conformance.networks.construction import (
    accepts_channels,
    builds,
    passes_shape_check,
    same_initial_weights,
    works_with_its_method,
    works_with_methods,
)
from translate_core.conformance.networks.determinism import does_not_modify_input, is_deterministic, repeats_its_output
from translate_core.conformance.networks.images import keeps_sizes, returns_scores, translates_any_size
from translate_core.conformance.networks.numerics import (
    in_channels_last,
    in_float64,
    is_finite,
    reaches_every_parameter,
    under_autocast,
)
from translate_core.conformance.networks.state import can_be_copied, is_restored, supports_after_update
from translate_core.conformance.networks.taps import has_its_taps, returns_both

PROMISES = (
    builds,
    same_initial_weights,
    works_with_its_method,
    works_with_methods,
    passes_shape_check,
    accepts_channels,
    keeps_sizes,
    translates_any_size,
    returns_scores,
    is_finite,
    reaches_every_parameter,
    under_autocast,
    in_float64,
    in_channels_last,
    does_not_modify_input,
    repeats_its_output,
    is_deterministic,
    is_restored,
    can_be_copied,
    has_its_taps,
    returns_both,
    depends_on_conditions,
    supports_after_update,
)
