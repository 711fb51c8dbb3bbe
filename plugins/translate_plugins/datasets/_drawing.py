"""The images of the synthetic set: landscapes with an animal, drawn as a horse, as a zebra and as a pony.

Each image determines the others, so that there is one correct translation: the dark stripes of a zebra have the colour
of the horse's coat, and the coat is faintly lighter where the zebra is cream. Stripes get broader towards the back, and
muzzle and hooves are dark: a translation that swaps cream and dark, or shifts the stripes, gives animals that do not
occur in the set. A pony is a horse in violet: its coat has a colour that is a linear function of the horse's, with the
same faint stripes, and its mane and hooves are light. The animal is drawn in a coordinate frame of its own, so that a
mirrored pair is a pair.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]
Species = Literal["horse", "zebra", "pony"]
Point = tuple[float, float]
Colour = tuple[float, float, float]

DRAWING = "horses and zebras 1"
"""Part of the data's fingerprint: change it whenever a pixel of the horses or zebras changes."""
PONIES = "ponies 1"
"""The same for the ponies."""

CREAM: Colour = (0.97, 0.95, 0.88)
SHEEN = 0.09  # how much lighter a horse's coat is where a zebra's is cream
VIOLET: Colour = (0.42, 0.28, 0.40)  # a pony's coat where a horse's would be black
SHADES: Colour = (0.6, 0.6, 0.75)  # how a pony's red, green and blue grow with a horse's blue, green and red
PALE = 0.75  # of a pony's mane and hooves: 0 as the coat, 1 white
PERIOD = 0.112  # from one dark stripe to the next, in lengths of the animal's frame: some 7 pixels of 64

COATS: tuple[Colour, ...] = (
    (0.44, 0.24, 0.11),  # bay
    (0.56, 0.27, 0.10),  # chestnut
    (0.10, 0.09, 0.11),  # black
    (0.34, 0.35, 0.40),  # grey
    (0.26, 0.15, 0.10),  # dark bay
    (0.54, 0.40, 0.20),  # dun
)
# at the top, at the horizon
SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((0.33, 0.58, 0.88), (0.74, 0.87, 0.96)),
    ((0.50, 0.70, 0.90), (0.95, 0.88, 0.74)),
    ((0.46, 0.44, 0.70), (0.98, 0.70, 0.50)),
    ((0.58, 0.66, 0.75), (0.80, 0.84, 0.86)),
    ((0.25, 0.66, 0.82), (0.78, 0.92, 0.90)),
)
# at the horizon, at the bottom
LANDS: tuple[tuple[Colour, Colour], ...] = (
    ((0.58, 0.74, 0.36), (0.30, 0.54, 0.20)),
    ((0.50, 0.68, 0.40), (0.24, 0.46, 0.22)),
    ((0.84, 0.76, 0.42), (0.68, 0.60, 0.26)),
    ((0.90, 0.79, 0.56), (0.80, 0.66, 0.42)),
    ((0.72, 0.76, 0.40), (0.50, 0.58, 0.22)),
)
FOLIAGE: tuple[Colour, ...] = ((0.18, 0.40, 0.18), (0.30, 0.48, 0.16), (0.40, 0.50, 0.22), (0.16, 0.34, 0.26))
TRUNK: Colour = (0.36, 0.26, 0.18)


def draw(rng: np.random.Generator, size: int, species: Sequence[Species]) -> list[Picture]:
    """One scene with each of the animals: (3, size, size), equal wherever there is no animal."""
    grid = Grid(size)
    background = _background(grid, rng)
    animal = Animal(grid, Pose.drawn(rng))
    coat = _tinted(rng, COATS[int(rng.integers(len(COATS)))], 0.06)
    return [_finished(background, animal, *_fur(animal, coat, each)) for each in species]


def _fur(animal: Animal, coat: Plane, species: Species) -> tuple[Plane, Plane]:
    """The colour of the fur (H, W, 3), and that of mane and hooves (3,). coat: the colour of the horse (3,)."""
    if species == "zebra":
        return coat + animal.light[..., None] * (np.asarray(CREAM, np.float32) - coat), 0.35 * coat
    if species == "horse":
        return coat + SHEEN * animal.light[..., None], 0.35 * coat
    violet = np.asarray(VIOLET, np.float32) + np.asarray(SHADES, np.float32) * coat[::-1]
    return violet + SHEEN * animal.light[..., None], violet + PALE * (1.0 - violet)


def _finished(background: Plane, animal: Animal, fur: Plane, marks: Plane) -> Picture:
    """The animal in front of the background: mane and hooves over the fur, limbs on the far side darker."""
    marked = fur + animal.dark[..., None] * (marks - fur)
    image = background + animal.coverage[..., None] * (animal.shade[..., None] * marked - background)
    pixels = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


class Grid:
    """Pixel centres, x to the right and y down, in image sides."""

    def __init__(self, size: int) -> None:
        centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
        self.size = size
        self.y, self.x = np.meshgrid(centres, centres, indexing="ij")

    def inside(self, distance: Plane) -> Plane:
        """Coverage, 0 … 1, of the region where a signed distance is negative: its edge is one pixel wide."""
        coverage: Plane = np.clip(0.5 - distance * self.size, 0.0, 1.0)
        return coverage

    def ellipse(self, centre: Point, width: float, height: float) -> Plane:
        """Coverage of an upright ellipse, given its half axes."""
        reach = np.hypot((self.x - centre[0]) / width, (self.y - centre[1]) / height)
        return self.inside((reach - 1.0) * min(width, height))


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _tinted(rng: np.random.Generator, colour: Colour, strength: float) -> Plane:
    return np.clip(np.asarray(colour) + strength * (rng.random(3) - 0.5), 0.04, 1.0).astype(np.float32)


def _background(grid: Grid, rng: np.random.Generator) -> Plane:
    horizon = _uniform(rng, 0.3, 0.62)
    image = _sky(grid, rng, horizon)
    for _ in range(int(rng.integers(0, 3))):
        _cover(image, _cloud(grid, rng, horizon), 0.97)
    skyline = _waves(grid, rng, horizon, 0.03)
    land = LANDS[int(rng.integers(len(LANDS)))]
    far, near = (_tinted(rng, colour, 0.08) for colour in land)
    if rng.random() < 0.6:
        hills = _waves(grid, rng, horizon - _uniform(rng, 0.03, 0.1), 0.06)
        _cover(image, grid.inside(hills - grid.y), 0.55 * far + 0.45 * image[0, 0])
    depth = np.clip((grid.y - horizon) / (1.0 - horizon), 0.0, 1.0)[..., None]
    texture = 1.0 + _uniform(rng, 0.05, 0.16) * _noise(grid, rng)[..., None]
    _cover(image, grid.inside(skyline - grid.y), (far + depth * (near - far)) * texture)
    for _ in range(int(rng.integers(0, 4))):
        _tree(image, grid, rng, horizon)
    return image


def _cover(image: Plane, coverage: Plane, colour: Plane | float) -> None:
    image += coverage[..., None] * (colour - image)


def _sky(grid: Grid, rng: np.random.Generator, horizon: float) -> Plane:
    top, low = (_tinted(rng, colour, 0.08) for colour in SKIES[int(rng.integers(len(SKIES)))])
    image: Plane = top + np.clip(grid.y / horizon, 0.0, 1.0)[..., None] * (low - top)
    if rng.random() < 0.5:
        radius = _uniform(rng, 0.05, 0.09)
        sun = grid.ellipse((_uniform(rng, 0.0, 1.0), _uniform(rng, 0.05, horizon)), radius, radius)
        _cover(image, sun, _tinted(rng, (0.99, 0.88, 0.52), 0.1))
    return image


def _cloud(grid: Grid, rng: np.random.Generator, horizon: float) -> Plane:
    x, y, width = _uniform(rng, 0.0, 1.0), _uniform(rng, 0.03, 0.6 * horizon), _uniform(rng, 0.08, 0.16)
    puffs = [
        grid.ellipse((x + shift * width, y - lift * width), width, 0.38 * width)
        for shift, lift in ((-0.7, 0.0), (0.0, 0.25), (0.8, -0.05))
    ]
    whole: Plane = np.maximum.reduce(puffs)
    return _uniform(rng, 0.5, 0.9) * whole


def _waves(grid: Grid, rng: np.random.Generator, level: float, height: float) -> Plane:
    """A skyline: the height of the land in each column."""
    slow, fast = (_uniform(rng, 0.0, 2.0 * math.pi) for _ in range(2))
    frequency = _uniform(rng, 3.0, 9.0)
    line: Plane = 0.7 * np.sin(frequency * grid.x + slow) + 0.3 * np.sin(15.0 * grid.x + fast)
    return level + height * line


def _noise(grid: Grid, rng: np.random.Generator) -> Plane:
    """Smooth noise in -1 … 1, stretched sideways like grass: two octaves of interpolated lattices."""
    planes = []
    for rows, columns in ((14, 7), (28, 16)):
        lattice = (rng.random((rows + 1, columns + 1)) * 2.0 - 1.0).astype(np.float32)
        planes.append(_between(_between(lattice, grid.y[:, 0] * rows).T, grid.x[0] * columns).T)
    return (0.6 * planes[0] + 0.4 * planes[1]).astype(np.float32)


def _between(lattice: Plane, positions: Plane) -> Plane:
    """Rows of the lattice at fractional positions."""
    below = np.floor(positions).astype(np.int64)
    return lattice[below] + (positions - below)[:, None] * (lattice[below + 1] - lattice[below])


def _tree(image: Plane, grid: Grid, rng: np.random.Generator, horizon: float) -> None:
    foot = (_uniform(rng, 0.0, 1.0), horizon + _uniform(rng, 0.0, 0.1))
    height = _uniform(rng, 0.14, 0.34)
    crown = (foot[0], foot[1] - height)
    trunk = np.maximum(np.abs(grid.x - foot[0]) - 0.07 * height, np.abs(grid.y - foot[1] + height / 2) - height / 2)
    _cover(image, grid.inside(trunk), _tinted(rng, TRUNK, 0.06))
    leaves = _tinted(rng, FOLIAGE[int(rng.integers(len(FOLIAGE)))], 0.08)
    wide, tall = (0.8, 0.22) if rng.random() < 0.4 else (0.42, 0.42)  # an acacia, or a round tree
    _cover(image, grid.ellipse(crown, wide * height, tall * height), leaves)
    lit = (crown[0], crown[1] - 0.25 * tall * height)
    _cover(image, grid.ellipse(lit, 0.65 * wide * height, 0.6 * tall * height), np.minimum(1.25 * leaves, 1.0))


@dataclass(frozen=True)
class Pose:
    """The animal's posture; lengths in the animal's frame, angles in radians, positive upwards."""

    centre: Point
    scale: float
    facing: float  # 1 to the right, -1 to the left
    tilt: float  # of the whole animal
    girth: float
    neck: float
    head: float  # relative to the neck
    stride: tuple[float, ...]  # of each leg: hind near, hind far, fore near, fore far
    bend: tuple[float, ...]  # of each knee
    tail: float

    @staticmethod
    def drawn(rng: np.random.Generator) -> Pose:
        """A random pose: standing, walking or galloping; looking up or grazing."""
        gallop = rng.random() < 0.3
        grazing = not gallop and rng.random() < 0.25
        swing = 0.75 if gallop else 0.28
        phase = _uniform(rng, -1.0, 1.0)
        stride = tuple(swing * phase * sign + _uniform(rng, -0.12, 0.12) for sign in (1.0, -1.0, -1.0, 1.0))
        facing = 1.0 if rng.random() < 0.5 else -1.0
        return Pose(
            centre=(0.5 - facing * _uniform(rng, 0.0, 0.13), _uniform(rng, 0.47, 0.57)),
            scale=_uniform(rng, 0.9, 1.15),
            facing=facing,
            tilt=_uniform(rng, -0.12, 0.12) if gallop else _uniform(rng, -0.03, 0.03),
            girth=_uniform(rng, 0.125, 0.15),
            neck=_uniform(rng, -0.55, -0.25) if grazing else _uniform(rng, 0.5, 1.15),
            head=_uniform(rng, -0.6, -0.3) if grazing else _uniform(rng, -1.7, -1.2),
            stride=stride,
            bend=tuple(_uniform(rng, 0.0, 0.9 if gallop else 0.25) for _ in range(4)),
            tail=_uniform(rng, 0.3, 1.4) if gallop else _uniform(rng, -0.2, 0.5),
        )


class Animal:
    """One animal on the grid, as planes in 0 … 1.

    coverage: of the whole animal.
    light: where a zebra is cream.
    dark: mane, tuft, hooves, muzzle, ears' rims and the eye.
    shade: brightness, lower for limbs on the far side.
    """

    def __init__(self, grid: Grid, pose: Pose) -> None:
        self._pose = pose
        self._resolution = grid.size * pose.scale
        across, down = (grid.x - pose.centre[0]) * pose.facing, grid.y - pose.centre[1]
        turn = cmath.rect(1.0 / pose.scale, pose.tilt)
        self._x = across * turn.real - down * turn.imag
        self._y = across * turn.imag + down * turn.real
        self.coverage, self.light, self.dark = (np.zeros_like(self._x) for _ in range(3))
        self.shade = np.ones_like(self._x)
        self._draw()

    def _draw(self) -> None:
        """Draws the parts from back to front."""
        pose = self._pose
        hip, shoulder = (-0.175, 0.05), (0.15, 0.05)
        self._leg(hip, pose.stride[1], pose.bend[1], hind=True, shade=0.72)
        self._leg(shoulder, pose.stride[3], pose.bend[3], hind=False, shade=0.72)
        self._tail()
        self._neck_and_head()
        self._trunk()
        self._leg(hip, pose.stride[0], pose.bend[0], hind=True, shade=1.0)
        self._leg(shoulder, pose.stride[2], pose.bend[2], hind=False, shade=1.0)

    def _edge(self, distance: Plane) -> Plane:
        coverage: Plane = np.clip(0.5 - distance * self._resolution, 0.0, 1.0)
        return coverage

    def _capsule(self, start: Point, end: Point, radii: tuple[float, float]) -> tuple[Plane, Plane, Plane]:
        """A limb: its coverage, and each pixel's position along the axis and distance from it (negative upwards)."""
        length = math.dist(start, end)
        ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        dx, dy = self._x - start[0], self._y - start[1]
        along, off = dx * ux + dy * uy, dy * ux - dx * uy
        part = np.clip(along / length, 0.0, 1.0)
        radius = radii[0] + part * (radii[1] - radii[0])
        return self._edge(np.hypot(along - part * length, off) - radius), along, off

    def _stripes(self, along: Plane, share: float | Plane, start: float) -> Plane:
        """Cream between dark stripes, the first of them centred on `start`. share: the cream fraction, 0 … 1."""
        turns = along / PERIOD - start / PERIOD
        to_cream = np.abs(turns - np.floor(turns) - 0.5) * PERIOD
        return self._edge(to_cream - 0.5 * PERIOD * share)

    def _add(self, coverage: Plane, light: Plane | float, dark: Plane | float = 0.0, shade: float = 1.0) -> None:
        """Draws a part in front of those before."""
        np.maximum(self.coverage, coverage, out=self.coverage)
        self.light += coverage * (light - self.light)
        self.dark += coverage * (dark - self.dark)
        self.shade += coverage * (shade - self.shade)

    def _leg(self, top: Point, stride: float, bend: float, *, hind: bool, shade: float) -> None:
        thigh, shin = stride, stride - bend if hind else stride - 0.8 * bend
        knee = _moved(top, 0.15, thigh)
        hoof = _moved(knee, 0.15, shin)
        for start, end, radii in ((knee, hoof, (0.036, 0.03)), (top, knee, (0.075 if hind else 0.06, 0.036))):
            coverage, along, _ = self._capsule(start, end, radii)
            self._add(coverage, self._stripes(along, 0.52, 0.03), shade=shade)
        coverage, _, _ = self._capsule(_moved(hoof, -0.002, shin), _moved(hoof, 0.022, shin), (0.034, 0.038))
        self._add(coverage, 0.0, dark=1.0, shade=shade)

    def _tail(self) -> None:
        root = (-0.265, -0.06)
        middle = _moved(root, 0.09, -self._pose.tail - 0.45)
        coverage, along, _ = self._capsule(root, middle, (0.028, 0.024))
        self._add(coverage, self._stripes(along, 0.5, 0.0))
        coverage, _, _ = self._capsule(middle, _moved(middle, 0.13, -self._pose.tail), (0.026, 0.034))
        self._add(coverage, 0.0, dark=1.0)

    def _trunk(self) -> None:
        girth = self._pose.girth
        rump, chest = (-0.155, 0.0), (0.145, 0.0)
        barrel, along, off = self._capsule(rump, chest, (girth, 0.97 * girth))
        share = 0.52 + np.clip(off / girth, -1.0, 1.0) * 0.14
        bowed = along + 0.6 * np.square(off) / girth
        self._add(barrel, self._stripes(bowed, share, 0.02))

    def _neck_and_head(self) -> None:
        pose = self._pose
        low = (0.16, -0.04)
        poll = _turned(low, 0.25, pose.neck)
        forward = pose.neck + pose.head
        muzzle = _turned(poll, 0.17, forward)
        above = pose.neck + math.pi / 2
        mane, _, _ = self._capsule(_turned(low, 0.05, above), _turned(poll, 0.05, above), (0.05, 0.035))
        self._add(mane, 0.0, dark=1.0)
        neck, along, _ = self._capsule(low, poll, (0.105, 0.062))
        self._add(neck, self._stripes(along, 0.52, 0.045))
        ear, _, _ = self._capsule(poll, _turned(poll, 0.1, pose.neck + 0.25), (0.03, 0.012))
        self._add(ear, 0.0, dark=0.4)
        head, along, _ = self._capsule(poll, muzzle, (0.064, 0.042))
        self._add(head, self._stripes(along, 0.52, 0.09))
        nose, _, _ = self._capsule(_turned(poll, 0.165, forward), muzzle, (0.045, 0.043))
        self._add(nose, 0.0, dark=0.8)
        eye = _turned(_turned(poll, 0.045, forward), 0.02, forward + math.pi / 2)
        spot, _, _ = self._capsule(eye, (eye[0] + 0.001, eye[1]), (0.016, 0.016))
        self._add(spot, 0.0, dark=1.0)


def _turned(point: Point, length: float, angle: float) -> Point:
    """A step from the point; the angle is measured upwards from straight ahead."""
    return point[0] + length * math.cos(angle), point[1] - length * math.sin(angle)


def _moved(point: Point, length: float, angle: float) -> Point:
    """A step from the point; the angle is measured forwards from straight down."""
    return point[0] + length * math.sin(angle), point[1] + length * math.cos(angle)
