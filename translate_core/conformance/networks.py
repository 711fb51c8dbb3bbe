"""What generators, discriminators and heads promise."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.components.registry import KINDS
from translate_core.conformance.kit import (
    SIDE,
    Kit,
    ambient,
    finite,
    image,
    largest_difference,
    named,
    parameters_without,
    same,
    saved_and_loaded,
    scalar_of,
    size,
    tensors_in,
)
from translate_core.conformance.promise import Broken, NotTried, promise
from translate_core.conformance.stage import CHANNELS, Casting, cast, channels_of, smallest_side
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.contracts.role import DISCRIMINATORS, GENERATORS, Role
from translate_core.errors import explain
from translate_core.runtime.randomness import seeded
from translate_core.training.channels_last import to_channels_last
from translate_core.training.failure import why_it_failed
from translate_core.training.size_constraint import SizeConstraint, crop

Call = tuple[str, tuple[Any, ...]]
"""A method of a network, empty for the network itself, and what it is called with."""

_ODD = (37, 51)
"""A size that is no multiple of anything."""

_SMALL = 16


class NetworkSubject:
    """A generator, discriminator or head, and the calls that it gets in a run."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.kit = kit
        self.block = block
        self.kind = block.registration.kind

    @cached_property
    def usual(self) -> dict[str, Any]:
        """What it is given unless a trial says otherwise: of a head, what the first method that has one gives it."""
        if self.kind == "head" and self.castings:
            casting = self.castings[0]
            role = next(role for role in casting.method.roles if casting.roles[role.name] is self.block)
            return role.given(channels_of(casting.method), casting.stage("meta").modules)
        channels: dict[str, Any] = {"in_channels": CHANNELS, "out_channels": CHANNELS, "channels": (CHANNELS, 8)}
        return {name: channels[name] for name in KINDS[self.kind].given}

    def build(self, device: str = "cpu", seed: int = 0, **given: Any) -> nn.Module:
        """A fresh one for three channels, the same for the same seed."""
        with ambient(seed), torch.device(device):
            module: nn.Module = self.block(**{**self.usual, **given})
        return module

    @cached_property
    def meta(self) -> nn.Module:
        """One without values."""
        return self.build("meta")

    @cached_property
    def fit(self) -> SizeConstraint:
        """The sides that it takes, as it declares them."""
        return SizeConstraint.of([self.meta])

    @cached_property
    def castings(self) -> list[Casting]:
        """Registered methods that call more than the network itself, or call it in a way of their own."""
        found = []
        for block in self.kit.blocks("method"):
            roles = block.registration.component.roles  # type: ignore[attr-defined]
            mine = [role for role in roles if role.kind == self.kind and (role.methods or role.tapped)]
            if not mine:
                continue
            try:
                casting = cast(self.kit, block, (self.block, self.block))
            except (NotTried, ValueError):
                continue
            if any(casting.roles[role.name] is self.block for role in mine):
                found.append(casting)
        return found

    @cached_property
    def calls(self) -> list[Call]:
        """What it is called with in a run: an image, and whatever the methods that ask for more call it with.

        Raises NotTried where only a method could say, and there is none.
        """
        calls: dict[str, Call] = {}
        if self.kind != "head":
            calls[""] = ("", (self.image,))
        for casting in self.castings[:1] if self.kind == "head" else self.castings:
            for entry, arguments in _recorded(casting, self.block):
                calls.setdefault(entry, (entry, arguments))
        if not calls:
            raise NotTried(f"no registered method calls this {self.kind}: write one that does, and check both together")
        return list(calls.values())

    @cached_property
    def image(self) -> Tensor:
        """Two images of a size that it takes."""
        if self.kind == "discriminator":
            side = smallest_side(self.meta, CHANNELS)
            return image(CHANNELS, side, side + self.fit.multiple)
        padded = self.fit.pad(image(CHANNELS, *_ODD))
        return padded if padded[0].numel() <= CHANNELS * 128**2 else padded[:1]

    @cached_property
    def trained(self) -> tuple[nn.Module, list[Any]]:
        """One after a forward and a backward pass in float32, with what it returned."""
        module = self.build()
        outputs = self.run(module)
        scalar_of(outputs).backward()  # type: ignore[no-untyped-call]
        return module, outputs

    def run(
        self,
        module: nn.Module,
        precision: str = "fp32",
        *,
        change: Callable[[Tensor], Tensor] = torch.clone,
        draw: int = 1,
        elsewhere: int | None = None,
    ) -> list[Any]:
        """What every call returns, through the handle that a run uses.

        change: done to every tensor given. draw, elsewhere: where the ambient generators stand.
        """
        side = DISCRIMINATORS if self.kind == "discriminator" else GENERATORS
        handle = Network(Role("tried", self.kind, side), module, Calls(), PRECISIONS[precision])
        outputs = []
        with ambient(draw, elsewhere=elsewhere):
            for entry, arguments in self.calls:
                given = _mapped(arguments, change)
                outputs.append(getattr(handle, entry)(*given) if entry else handle(*given))
        return outputs

    def entry(self, place: int) -> str:
        """The name of a call, for messages."""
        return f"{self.calls[place][0] or 'forward'}()"


class _Recording(Network):
    """A handle that remembers what it was called with."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.heard: list[Call] = []

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry = "" if function is self.module else function.__name__
        if not kwargs:
            self.heard.append((entry, _mapped(args, lambda tensor: tensor.detach().clone())))
        return super()._call(function, args, kwargs)


def _recorded(casting: Casting, block: Block) -> Iterator[Call]:
    """The calls of the subject's networks while every tensor of the method is computed."""
    stage = casting.stage("cpu")
    recordings = []
    for role in casting.method.roles:
        if casting.roles[role.name] is block:
            recording = _Recording(role, stage.modules[role.name], stage.calls, stage.precision)
            stage.handles[role.name] = recording
            recordings.append(recording)
    batch = stage.batch(grad=False, truths=True)
    for name in casting.method.tensor_names():
        _ = batch[name]
    for recording in recordings:
        yield from recording.heard


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(item, change) for item in value)
    return value


def _floating(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor


# Promises


def _is_generator(subject: NetworkSubject) -> bool:
    return subject.kind == "generator"


def _is_discriminator(subject: NetworkSubject) -> bool:
    return subject.kind == "discriminator"


_OTHERS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "generator": ({"in_channels": 1, "out_channels": 3}, {"in_channels": 3, "out_channels": 1}),
    "discriminator": ({"in_channels": 1}, {"in_channels": 6}),
    "head": ({"channels": (16,)}, {"channels": (1, 64, 128)}),
}
"""What a network may be given but three channels."""


@promise("builds", "every run builds it on the meta device first, and then where it trains", first=True)
def builds(subject: NetworkSubject) -> None:
    """For what it is given most often."""
    words = ", ".join(f"{name} {value}" for name, value in subject.usual.items())
    try:
        _ = subject.meta
        subject.build()
    except Exception as error:  # whatever a component's constructor raises
        raise Broken(f"cannot be built with {words}: {explain(error)}") from None


@promise(
    "serves the methods that ask for it",
    "a method calls what its roles name (`encode`, `features` …) and no run starts where that fails",
    first=True,
    applies=lambda subject: bool(subject.castings),
)
def serves_methods(subject: NetworkSubject) -> None:
    """Every tensor of those methods, on the meta device."""
    for casting in subject.castings:
        stage = casting.stage("meta")
        batch = stage.batch(truths=True)
        for name in casting.method.tensor_names():
            try:
                with torch.device("meta"):
                    _ = batch[name]
            except Exception as error:  # whatever a component raises
                raise Broken(f"in method {casting.name} the tensor '{name}' {why_it_failed(error)}") from None


@promise(
    "is rehearsed without values",
    "every equation is tried on the meta device before any memory is taken, and a value that is read while training "
    "makes each step wait for the device",
    first=True,
)
def rehearsed(subject: NetworkSubject) -> None:
    """Forward and backward on the meta device, in training mode, by every way that it is called."""
    module = subject.build("meta")
    _ = subject.calls  # which are recorded on the CPU
    with torch.device("meta"):
        outputs = subject.run(module, change=lambda tensor: tensor.to("meta"))
        scalar_of(outputs).backward()  # type: ignore[no-untyped-call]


@promise(
    "takes any number of channels",
    "the data decides how many channels the domains have, taps how many features; a constructor that cannot serve "
    "them says so with a ValueError",
)
def takes_channels(subject: NetworkSubject) -> None:
    """Grey and colour, two images beside each other; on the meta device."""
    for given in _OTHERS[subject.kind]:
        words = ", ".join(f"{name} {value}" for name, value in given.items())
        try:
            module = subject.build("meta", **given)
            if subject.kind == "head":
                continue
            output = module(torch.empty(2, given["in_channels"], *subject.image.shape[-2:], device="meta"))
        except ValueError:
            continue
        except Exception as error:  # whatever a component raises
            raise Broken(f"with {words} it {why_it_failed(error)}") from None
        if subject.kind == "generator" and tensors_in(output)[0].shape[1] != given["out_channels"]:
            raise Broken(f"with {words} it returns {tensors_in(output)[0].shape[1]} channels")


@promise(
    "returns an image of the size of its input",
    "losses compare what goes in with what comes out pixel by pixel, at each size that `multiple` and `smallest` allow",
    applies=_is_generator,
)
def keeps_sizes(subject: NetworkSubject) -> None:
    """At the smallest size that it declares, and at sizes that are not square, one image and two."""
    fit = subject.fit
    side = -(-max(fit.smallest if hasattr(subject.meta, "smallest") else _SMALL, 1) // fit.multiple) * fit.multiple
    for count, height, width in ((2, side, side), (1, side, side + fit.multiple), (1, side + 2 * fit.multiple, side)):
        output = subject.meta(torch.empty(count, CHANNELS, height, width, device="meta"))
        if not isinstance(output, Tensor):
            raise Broken(f"returns {type(output).__name__}, not an image (N, C, H, W)")
        if output.shape != (count, CHANNELS, height, width):
            raise Broken(
                f"an image {size(torch.empty(count, CHANNELS, height, width, device='meta'))} comes back as "
                f"{size(output)}; where not every size goes, the attributes `multiple` and `smallest` say which do"
            )


@promise(
    "translates an image of any size",
    "samples, metrics and translate-apply pad an image to what `multiple` and `smallest` say, and take that off again",
    applies=_is_generator,
)
def translates_any_size(subject: NetworkSubject) -> None:
    """In evaluation mode, for sides that are multiples of nothing."""
    module = subject.build().eval()
    for height, width in (_ODD, (SIDE + 1, SIDE - 1)):
        given = image(CHANNELS, height, width, count=1)
        with torch.no_grad():
            output = module(subject.fit.pad(given))
        result = crop(output, height, width)
        if result.shape != given.shape or not finite(result):
            padded = tuple(subject.fit.pad(given).shape[-2:])
            found = size(output) if result.shape != given.shape else "values that are not finite"
            raise Broken(f"an image of {height}×{width}, padded to {padded[0]}×{padded[1]}, comes back as {found}")


@promise(
    "returns scores for each image",
    "adversarial losses take a tensor of scores, or a list of them, with a row for each image",
    applies=_is_discriminator,
)
def returns_scores(subject: NetworkSubject) -> None:
    """One tensor or several, the first dimension that of the batch."""
    given = subject.image
    output = subject.meta(given.to("meta"))
    if not isinstance(output, Tensor) and not (isinstance(output, list) and output):
        raise Broken(f"returns {type(output).__name__}, not a tensor of scores or a list of them")
    for scores in [output] if isinstance(output, Tensor) else output:
        if not isinstance(scores, Tensor) or scores.dim() < 2 or scores.shape[0] != len(given):
            found = size(scores) if isinstance(scores, Tensor) else type(scores).__name__
            raise Broken(f"for {len(given)} images it returns scores of {found}, not (N, 1, h, w) or (N, K)")


@promise(
    "computes finite numbers in float32",
    "one value that is not finite ends a run as diverged",
)
def is_finite(subject: NetworkSubject) -> None:
    """What comes out, and every gradient, right after it is built."""
    module, outputs = subject.trained
    for place, output in enumerate(outputs):
        for tensor in tensors_in(output):
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise Broken(f"{subject.entry(place)} returns {tensor.dtype} for images of float32")
        if not finite(output):
            raise Broken(f"{subject.entry(place)} returns values that are not finite")
    wrong = [
        name for name, item in module.named_parameters() if item.grad is not None and not item.grad.isfinite().all()
    ]
    if wrong:
        raise Broken(f"the gradients of {named(wrong)} are not finite")


@promise(
    "sends a gradient to every parameter",
    "what no gradient reaches is never learned, yet saved, averaged and sent between processes like the rest",
)
def reaches_every_parameter(subject: NetworkSubject) -> None:
    """By all the ways together in which it is called."""
    module, _ = subject.trained
    missed = parameters_without(module, {id(item) for item in module.parameters() if item.grad is not None})
    if missed:
        raise Broken(f"nothing reaches {named(missed)}")


@promise(
    "computes under bf16",
    "with `training.precision: bf16` or fp16 networks run under autocast, and losses take their output as float32",
)
def under_autocast(subject: NetworkSubject) -> None:
    """Forward and backward, through the handle that a run uses."""
    module = subject.build()
    outputs = subject.run(module, "bf16")
    scalar_of(outputs).backward()  # type: ignore[no-untyped-call]
    for place, output in enumerate(outputs):
        if not finite(output):
            raise Broken(f"{subject.entry(place)} returns values that are not finite")
        for tensor in tensors_in(output):
            if tensor.dtype in (torch.bfloat16, torch.float16):
                raise Broken(
                    f"{subject.entry(place)} returns {tensor.dtype} in a container that the engine cannot convert"
                )
    wrong = [
        name for name, item in module.named_parameters() if item.grad is not None and not item.grad.isfinite().all()
    ]
    if wrong:
        raise Broken(f"the gradients of {named(wrong)} are not finite")


@promise(
    "computes in float64",
    "with `training.precision: fp64` weights and images are float64; a constant that stays float32 fails, or rounds",
)
def in_float64(subject: NetworkSubject) -> None:
    """What comes out is float64 then."""
    module = subject.build().double()
    outputs = subject.run(module, "fp64", change=_floating(torch.float64))
    for place, output in enumerate(outputs):
        for tensor in tensors_in(output):
            if tensor.is_floating_point() and tensor.dtype != torch.float64:
                raise Broken(f"{subject.entry(place)} returns {tensor.dtype} for images of float64")


@promise(
    "computes the same in channels-last order",
    "images and weights are kept in NHWC order unless `training.channels_last` is false, and may not depend on it",
)
def in_channels_last(subject: NetworkSubject) -> None:
    """In float64, where the order of additions hardly shows."""
    # In evaluation mode: what dropout leaves out does depend on the order.
    plain, last = subject.build().double().eval(), subject.build().double().eval()
    to_channels_last(last)
    expected = subject.run(plain, "fp64", change=_floating(torch.float64))
    if not same(expected, subject.run(plain, "fp64", change=_floating(torch.float64), draw=2)):
        raise NotTried("it leaves something to chance in evaluation mode, which would depend on the order")
    found = subject.run(last, "fp64", change=_to_channels_last)
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        difference = largest_difference(one, other)
        if not difference <= 1e-9:
            raise Broken(f"{subject.entry(place)} differs by {difference:.1e} in float64")


def _to_channels_last(tensor: Tensor) -> Tensor:
    wide = _floating(torch.float64)(tensor)
    return wide.contiguous(memory_format=torch.channels_last) if wide.dim() == 4 else wide


@promise(
    "leaves what it is given as it is",
    "the tensors of a batch are shared: what one network overwrites, every loss after it sees",
)
def leaves_its_input(subject: NetworkSubject) -> None:
    """No operation in place on an argument."""
    module = subject.build()
    for place, (entry, arguments) in enumerate(subject.calls):
        handed = _mapped(arguments, torch.clone)
        with ambient(1), torch.no_grad():
            getattr(module, entry or "__call__")(*handed)
        if not same(handed, arguments):
            raise Broken(f"{subject.entry(place)} overwrites its input")


@promise(
    "starts the same from the same seed",
    "`training.seed` decides every draw; only torch's and numpy's generators are set to it",
)
def starts_the_same(subject: NetworkSubject) -> None:
    """Built twice, while Python's own generator goes on."""
    states = []
    for place in (7, 8):
        with ambient(place), seeded(0, "conformance"):
            states.append(dict(subject.block(**subject.usual).state_dict()))
    one, other = states
    different = [name for name in one if name not in other or not same(one[name], other[name])]
    if different:
        raise Broken(f"{named(different)} differ between two that were built from one seed")


@promise(
    "computes the same again",
    "a run that was stopped goes on to the bit, and an image is translated the same way each time: torch's ambient "
    "generator is set for that before every phase and every image, and nothing else is",
)
def repeats_itself(subject: NetworkSubject) -> None:
    """In training and in evaluation mode, wherever numpy's and Python's generators stand."""
    for mode, train in (("training", True), ("evaluation", False)):
        outputs = []
        for place in (1, 2):
            module = subject.build().train(train)
            with torch.no_grad():
                outputs.append(subject.run(module, draw=1, elsewhere=place))
        if not same(*outputs):
            raise Broken(
                f"two passes in {mode} mode differ though torch's ambient generator stood at the same place: draw from "
                f"that one alone"
            )
    module = subject.build().eval()
    before = copy.deepcopy(dict(module.state_dict()))
    with torch.no_grad():
        subject.run(module)
    if not same(before, dict(module.state_dict())):
        raise Broken("a pass in evaluation mode changes its state_dict")


@promise(
    "leaves nothing to chance in evaluation mode",
    "dropout or noise that stays on when images are translated is mostly an oversight; where it is meant, nothing is "
    "wrong",
    advice=True,
)
def leaves_nothing_to_chance(subject: NetworkSubject) -> None:
    """Two passes over one image are the same wherever torch's ambient generator stands."""
    module = subject.build().eval()
    with torch.no_grad():
        if not same(subject.run(module, draw=1), subject.run(module, draw=2)):
            raise Broken("two passes over one image in evaluation mode differ")


@promise(
    "comes back from its state_dict",
    "a run goes on from a checkpoint to the bit, and translate-apply knows nothing else of the network",
)
def comes_back(subject: NetworkSubject) -> None:
    """Saved after a training pass, loaded with weights_only into one that was built from another seed."""
    module = subject.build()
    subject.run(module)
    state = saved_and_loaded(module.state_dict(), "its state_dict")
    twin = subject.build(seed=5)
    twin.load_state_dict(state)
    with torch.no_grad():
        one, other = subject.run(module.eval()), subject.run(twin.eval())
    if not same(one, other):
        raise Broken(
            "after load_state_dict it computes something else: part of its state is no parameter and no buffer"
        )


@promise(
    "can be copied",
    "`training.ema` keeps a copy of each generator, made with copy.deepcopy",
    applies=lambda subject: subject.kind != "discriminator",
)
def can_be_copied(subject: NetworkSubject) -> None:
    """A copy computes the same, and shares no weight."""
    module = subject.build().eval()
    try:
        twin = copy.deepcopy(module)
    except Exception as error:  # whatever a copy raises
        raise Broken(f"copy.deepcopy fails: {explain(error)}") from None
    with torch.no_grad():
        if not same(subject.run(module), subject.run(twin)):
            raise Broken("a copy computes something else")
        for parameter in twin.parameters():
            parameter.zero_()
    if any(not parameter.any() for parameter in module.parameters() if parameter.dim() > 1):
        raise Broken("a copy shares weights with the original")


@promise(
    "has the taps that it declares",
    "methods build heads for the channels in `taps`, and compare the maps that `features` returns, place by place",
    applies=lambda subject: hasattr(subject.meta, "taps"),
)
def has_its_taps(subject: NetworkSubject) -> None:
    """Each alone, all, and all the other way round give the same maps, of the channels declared."""
    taps = subject.meta.taps
    if not isinstance(taps, Mapping) or not taps or not all(isinstance(item, int) for item in taps.values()):
        raise Broken("`taps` must be a mapping from names to numbers of channels")
    if not callable(getattr(subject.meta, "features", None)):
        raise Broken("it has `taps` and no method `features(x, taps)`")
    module = subject.build().eval()
    names = tuple(taps)
    with torch.no_grad():
        maps = dict(zip(names, _features(module, subject.image, names), strict=True))
        turned = dict(zip(reversed(names), _features(module, subject.image, names[::-1]), strict=True))
        alone = {name: _features(module, subject.image, (name,))[0] for name in names}
    for name in names:
        if maps[name].shape[:2] != (len(subject.image), taps[name]):
            raise Broken(f"tap '{name}' is declared with {taps[name]} channels, and its map is {size(maps[name])}")
        if not same(maps[name], alone[name]) or not same(maps[name], turned[name]):
            raise Broken(
                f"the map at tap '{name}' depends on which others are asked for: a layer after it overwrites it"
            )


def _features(module: nn.Module, images: Tensor, names: tuple[str, ...]) -> list[Tensor]:
    found = module.features(images, names)  # type: ignore[operator]
    if not isinstance(found, list) or len(found) != len(names):
        raise Broken(f"features(x, {names}) must return a list of {len(names)} maps, in the order asked for")
    return found


@promise(
    "lets its after_update be called",
    "the engine calls it without gradients after every update",
    applies=lambda subject: callable(getattr(subject.meta, "after_update", None)),
)
def takes_after_update(subject: NetworkSubject) -> None:
    """Right after it is built it changes values, and nothing else."""
    module = subject.build()
    before = {name: item.shape for name, item in module.named_parameters()}
    with torch.no_grad():
        module.after_update()  # type: ignore[operator]
    if before != {name: item.shape for name, item in module.named_parameters()} or not finite(
        dict(module.state_dict())
    ):
        raise Broken("after it parameters have other shapes, or values that are not finite")


PROMISES = (
    builds,
    serves_methods,
    rehearsed,
    takes_channels,
    keeps_sizes,
    translates_any_size,
    returns_scores,
    is_finite,
    reaches_every_parameter,
    under_autocast,
    in_float64,
    in_channels_last,
    leaves_its_input,
    starts_the_same,
    repeats_itself,
    leaves_nothing_to_chance,
    comes_back,
    can_be_copied,
    has_its_taps,
    takes_after_update,
)
