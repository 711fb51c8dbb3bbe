"""The promises of losses. `subject.py` has the loss and the methods that it fits; the other files have promises."""

from translate_core.conformance.losses.state import does_not_modify_tensors, fixed_parameters, is_restored
from translate_core.conformance.losses.values import (
    builds,
    draws_from_the_batch,
    in_float64,
    is_finite,
    passes_shape_check,
    sends_gradients,
)

PROMISES = (
    builds,
    passes_shape_check,
    is_finite,
    sends_gradients,
    fixed_parameters,
    draws_from_the_batch,
    in_float64,
    does_not_modify_tensors,
    is_restored,
)
