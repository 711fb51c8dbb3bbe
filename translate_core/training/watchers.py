"""The observers of a run, as the trainer calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from translate_core.components.blocks import Block
from translate_core.contracts.observer import Observer, Result, RunInfo, Sample
from translate_core.errors import Interrupted, UserError, described, ended_by_component, raised_at
from translate_core.runtime.console import user_fault, warn
from translate_core.storage.checkpoints import States

PARTS = "observers/"
"""What the names of observers' parts in a checkpoint begin with."""


class ObserverError(UserError):
    """An exception of an observer: the name of the observer in the recipe, the event and the place in its file."""


class Watchers:
    """Calls the observers of a run between `start` and `stop`; outside of them, and on other ranks, there are none.

    Whatever an observer raises becomes an ObserverError.
    """

    def __init__(self) -> None:
        self._observers: dict[str, Observer] = {}
        self._states: dict[str, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._observers)

    # Sessions

    def start(self, blocks: Mapping[str, Block], run: RunInfo) -> None:
        """Builds the observers, restores their states and starts them. blocks: by name."""
        types = {name: block.record["type"] for name, block in blocks.items()}
        # Observers may have been added, removed or replaced since the checkpoint.
        self._states = {name: kept for name, kept in self._states.items() if types.get(name) == kept["type"]}
        for name, block in blocks.items():
            with _blamed(name, block.registration.component, "__init__"):
                observer: Observer = block()
            if name in self._states:
                with _blamed(name, type(observer), "load_state_dict"):
                    observer.load_state_dict(self._states[name]["state"])
            with _blamed(name, type(observer), "on_start"):
                observer.on_start(run)
            self._observers[name] = observer
        self._types = types

    def stop(self, step: int, finished: bool, error: BaseException | None = None) -> None:
        """Closes the observers in reverse order, each also when another one fails.

        error: what ended the session. Then failures of observers are warnings; else the first one is raised.
        """
        failures: list[ObserverError] = []

        def close(name: str, observer: Observer) -> None:
            try:
                with _blamed(name, type(observer), "on_stop"):
                    observer.on_stop(step, finished)
            except ObserverError as failure:
                failures.append(failure)

        with ExitStack() as closing:
            for item in self._observers.items():
                closing.callback(close, *item)
            self._observers = {}
        raised = failures[:1] if error is None else []
        for failure in failures[len(raised) :]:
            warn(str(failure))
        for failure in raised:
            raise failure

    # Events

    def step(self, step: int) -> None:
        """A step is done."""
        self._each("on_step", lambda observer: observer.on_step(step))

    def losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """The losses were read."""
        self._each("on_losses", lambda observer: observer.on_losses(step, losses, rates))

    def samples(self, step: int, drawn: Sequence[Sample]) -> None:
        """Samples were drawn."""
        self._each("on_samples", lambda observer: observer.on_samples(step, drawn))

    def evaluation(self, step: int, results: Sequence[Result]) -> None:
        """The metrics were computed."""
        self._each("on_evaluation", lambda observer: observer.on_evaluation(step, results))

    def checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint was written."""
        self._each("on_checkpoint", lambda observer: observer.on_checkpoint(step, path))

    def _each(self, event: str, call: Callable[[Observer], None]) -> None:
        for name, observer in self._observers.items():
            with _blamed(name, type(observer), event):
                call(observer)

    def request(self) -> tuple[str, str] | None:
        """The name of the first observer that requests the end of the run, and its reason; None if none does."""
        for name, observer in self._observers.items():
            reason: object = observer.stop_reason
            if isinstance(reason, str):
                return name, reason
            if reason is not None:
                raise ObserverError(f"observer '{name}': `stop_reason` must be a text, not a {type(reason).__name__}")
        return None

    # Checkpoints

    def parts(self) -> dict[str, dict[str, Any]]:
        """The states of the observers that have one, as parts of a checkpoint; outside a session the last known."""
        if self._observers:
            self._states = {}
            for name, observer in self._observers.items():
                with _blamed(name, type(observer), "state_dict"):
                    state = observer.state_dict()
                if not isinstance(state, dict):
                    raise ObserverError(
                        f"observer '{name}': `state_dict` must return a dict, not {type(state).__name__}"
                    )
                if state:
                    self._states[name] = {"type": self._types[name], "state": state}
        return {f"{PARTS}{name}": state for name, state in self._states.items()}

    def restore(self, parts: States) -> None:
        """Keeps the states for the next `start`. parts: all parts of a checkpoint."""
        self._states = {name.removeprefix(PARTS): part for name, part in parts.items() if name.startswith(PARTS)}


@contextmanager
def _blamed(name: str, component: Callable[..., Any], event: str) -> Iterator[None]:
    """Turns what the block raises into an ObserverError.

    name: of the observer in the recipe. component: its class. event: the method that is called.
    """
    try:
        yield
    except Interrupted:
        raise
    except UserError as error:
        raise ObserverError(f"observer '{name}': {error}") from error
    except BaseException as error:
        text = ended_by_component(error, "it")
        if text is None:
            text = user_fault(error) or described(error)
            text += raised_at(error, component.__module__.partition(".")[0]) or _defined_at(component, event)
        raise ObserverError(f"observer '{name}' failed in {event}: {text}") from error


def _defined_at(component: Callable[..., Any], event: str) -> str:
    """The place of a method that could not even be called, such as one with too few arguments."""
    code = getattr(inspect.unwrap(getattr(component, event)), "__code__", None)
    return "" if code is None else f" ({Path(code.co_filename).name}, line {code.co_firstlineno})"
