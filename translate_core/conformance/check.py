"""Every component of a plugin, checked for each promise of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from translate_core.components.blocks import Block
from translate_core.components.registry import Registration
from translate_core.conformance import (
    datasets,
    documentation,
    inits,
    losses,
    methods,
    metrics,
    networks,
    observers,
    optimizers,
    pools,
    schedules,
)
from translate_core.conformance.kit import Kit
from translate_core.conformance.losses.subject import LossSubject
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.promise import NotTested, Outcome, Promise, Results, Status, check_promises

_Subject = Callable[[Kit, Block], Any]

CHECKS: Mapping[str, tuple[_Subject, Sequence[Promise]]] = {
    "method": (methods.MethodSubject, methods.PROMISES),
    "generator": (NetworkSubject, networks.PROMISES),
    "discriminator": (NetworkSubject, networks.PROMISES),
    "head": (NetworkSubject, networks.PROMISES),
    "network": (NetworkSubject, networks.PROMISES),
    "loss": (LossSubject, losses.PROMISES),
    "dataset": (datasets.DatasetSubject, datasets.PROMISES),
    "pool": (pools.PoolSubject, pools.PROMISES),
    "metric": (metrics.MetricSubject, metrics.PROMISES),
    "optimizer": (optimizers.OptimizerSubject, optimizers.PROMISES),
    "schedule": (schedules.ScheduleSubject, schedules.PROMISES),
    "init": (inits.InitSubject, inits.PROMISES),
    "observer": (observers.ObserverSubject, observers.PROMISES),
}
"""By kind: the class that wraps a component for its checks, and the promises."""


def check_component(kit: Kit, registration: Registration, block: Block | None = None) -> Results:
    """The promises of one component, without those about its documentation.

    block: with its options in a recipe; by default with those of the user.
    """
    make, promises = CHECKS[registration.kind]
    try:
        subject = make(kit, block or kit.block(registration))
    except NotTested as reason:
        return Results((Outcome(promises[0], Status.NOT_TESTED, str(reason)),), whole=False)
    results = check_promises(promises, subject)
    if isinstance(subject, datasets.DatasetSubject):
        subject.close()
    return results


def check_documentation(kit: Kit, registration: Registration) -> Results:
    """The promises about the documentation of one component."""
    return check_promises(documentation.PROMISES, documentation.DocumentationSubject(kit, registration))
