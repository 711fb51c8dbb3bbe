"""A plugin's components, each tried on everything that its kind promises."""

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
from translate_core.conformance.promise import NotTried, Outcome, Promise, Status, Trial, try_all

_Subject = Callable[[Kit, Block], Any]

TRIALS: Mapping[str, tuple[_Subject, Sequence[Promise]]] = {
    "method": (methods.MethodSubject, methods.PROMISES),
    "generator": (networks.NetworkSubject, networks.PROMISES),
    "discriminator": (networks.NetworkSubject, networks.PROMISES),
    "head": (networks.NetworkSubject, networks.PROMISES),
    "loss": (losses.LossSubject, losses.PROMISES),
    "dataset": (datasets.DatasetSubject, datasets.PROMISES),
    "pool": (pools.PoolSubject, pools.PROMISES),
    "metric": (metrics.MetricSubject, metrics.PROMISES),
    "optimizer": (optimizers.OptimizerSubject, optimizers.PROMISES),
    "schedule": (schedules.ScheduleSubject, schedules.PROMISES),
    "init": (inits.InitSubject, inits.PROMISES),
    "observer": (observers.ObserverSubject, observers.PROMISES),
}
"""By kind: what is made of a component to try it, and what it promises."""


def check_component(kit: Kit, registration: Registration) -> Trial:
    """Every promise of one component but those about its documentation."""
    make, promises = TRIALS[registration.kind]
    try:
        subject = make(kit, kit.block(registration))
    except NotTried as reason:
        return Trial((Outcome(promises[0], Status.NOT_TRIED, str(reason)),), whole=False)
    trial = try_all(promises, subject)
    if isinstance(subject, datasets.DatasetSubject):
        subject.close()
    return trial


def check_documentation(kit: Kit, registration: Registration) -> Trial:
    """What one component says about itself."""
    return try_all(documentation.PROMISES, documentation.DocumentationSubject(kit, registration))
