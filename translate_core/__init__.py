"""An engine that trains image-to-image translation from recipes; every component comes from a plugin.

What stands in `__all__` is what plugins and users build on.
"""

from translate_core.data import Dataset, Item, TestSplit, TrainSplit
from translate_core.errors import DataError, Fault, RecipeError, UserError
from translate_core.hookspecs import CONTRACT, hookimpl
from translate_core.loss import Frozen, Loss, Tensors
from translate_core.method import (
    DISCRIMINATORS,
    GENERATORS,
    Choice,
    Direction,
    Method,
    Role,
    discriminator,
    generator,
    head,
    tensor,
    tensors,
)
from translate_core.metric import Metric
from translate_core.observer import Observer, Result, RunInfo, Sample
from translate_core.pool import NoPool, Pool
from translate_core.registry import Registrar
from translate_core.schedule import Length, Schedule
from translate_core.schema import Factory
from translate_core.translator import Translator

__all__ = [
    "CONTRACT",
    "DISCRIMINATORS",
    "GENERATORS",
    "Choice",
    "DataError",
    "Dataset",
    "Direction",
    "Factory",
    "Fault",
    "Frozen",
    "Item",
    "Length",
    "Loss",
    "Method",
    "Metric",
    "NoPool",
    "Observer",
    "Pool",
    "RecipeError",
    "Registrar",
    "Result",
    "Role",
    "RunInfo",
    "Sample",
    "Schedule",
    "Tensors",
    "TestSplit",
    "TrainSplit",
    "Translator",
    "UserError",
    "discriminator",
    "generator",
    "head",
    "hookimpl",
    "tensor",
    "tensors",
]
