"""Which component of which plugin an exception comes from, and where in its file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from translate_core.components.registry import KINDS, Registration, Registry
from translate_core.errors import Interrupted, UserError, described, ended_by_component, is_out_of_memory, raised_at
from translate_core.runtime.installation import DISTRIBUTION


class ComponentError(UserError):
    """An exception of a plugin: its component, what was raised, and the place in its file.

    The exception itself is its `__cause__`.
    """


@contextmanager
def blamed(registry: Registry) -> Iterator[None]:
    """Turns an exception of a plugin into a ComponentError."""
    try:
        yield
    except (UserError, Interrupted):
        raise
    except BaseException as error:
        fault = component_error(error, registry)
        if fault is None:
            raise
        raise fault from error


def component_error(error: BaseException, registry: Registry) -> ComponentError | None:
    """The error to report in place of one that a plugin raised, or that a library raised when a plugin called it.

    None where no plugin took part but those of the engine's own distribution, and where memory was exhausted.
    """
    if is_out_of_memory(error):
        return None
    owners = {
        registration.component.__module__.partition(".")[0]: registration.owner
        for registration in _registrations(registry)
        if registration.owner.name != DISTRIBUTION
    }
    frames = list(_frames(error))
    for index, frame in enumerate(frames):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in owners:
            what = described(error) + raised_at(error, package)
            whose = _component(frames[index:], registry) or f"plugin {owners[package]} failed"
            return ComponentError(f"{whose}: {ended_by_component(error, 'it') or what}")
    # A generator of Python's turns StopIteration into a RuntimeError that has it as its cause.
    return None if error.__cause__ is None else component_error(error.__cause__, registry)


def _registrations(registry: Registry) -> Iterator[Registration]:
    return (registry.get(kind, name) for kind in KINDS for name in registry.names(kind))


def _frames(error: BaseException) -> Iterator[FrameType]:
    """The innermost first."""
    trace = error.__traceback__
    frames = []
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return reversed(frames)


def _component(frames: list[FrameType], registry: Registry) -> str | None:
    """`loss 'mine' of plugin mine.py failed in generator_loss`: the innermost component that these frames execute."""
    for frame in frames:
        owner = frame.f_locals.get("self")
        for item in _registrations(registry):
            if type(owner) is item.component or getattr(item.component, "__code__", None) is frame.f_code:
                return f"{item.kind} '{item.name}' of plugin {item.owner} failed in {frame.f_code.co_name}"
    return None
