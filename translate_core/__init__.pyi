"""The public names of the engine, and where each is defined."""

from .components.create import create, list_components
from .contracts.adversarial import AdversarialPair, adversarial_pair
from .contracts.dataset import Dataset, Item, TestSplit, TrainSplit, to_uint8
from .contracts.direction import Choice, Direction, Option
from .contracts.factory import Factory
from .contracts.given import Given
from .contracts.hook import CONTRACT, hookimpl
from .contracts.length import Length
from .contracts.loss import Frozen, Loss, Tensors, loss_of
from .contracts.method import Method
from .contracts.metric import Metric, SetMetric
from .contracts.network import Network
from .contracts.observer import Observer, Result, RunInfo, Sample
from .contracts.pool import NoPool, Pool
from .contracts.registrar import Registrar
from .contracts.role import DISCRIMINATORS, GENERATORS, Role, discriminator, generator, head, network
from .contracts.schedule import Schedule
from .contracts.tensor import tensor, tensors
from .contracts.update import Update
from .errors import DataError, Fault, RecipeError, UserError, did_you_mean, reason_of
from .experiment.run import Run, Step, open_run
from .recipe.load import load_recipe
from .recipe.resolved import ResolvedRecipe
from .runtime.files import atomic_write, read_file, sha256_of, write_text
from .runtime.images import MAX_PIXELS, Channels, convert_image, find_images, is_image, open_image
from .runtime.label_maps import read_label_map
from .runtime.progress import ProgressDisplay, progress
from .runtime.randomness import numpy_generator
from .storage.models import EarlyEnd
from .storage.weights import read_weights
from .training.trainer import DivergedError
from .translating.translator import Translator

__all__ = [
    "CONTRACT",
    "DISCRIMINATORS",
    "GENERATORS",
    "MAX_PIXELS",
    "AdversarialPair",
    "Channels",
    "Choice",
    "DataError",
    "Dataset",
    "Direction",
    "DivergedError",
    "EarlyEnd",
    "Factory",
    "Fault",
    "Frozen",
    "Given",
    "Item",
    "Length",
    "Loss",
    "Method",
    "Metric",
    "Network",
    "NoPool",
    "Observer",
    "Option",
    "Pool",
    "ProgressDisplay",
    "RecipeError",
    "Registrar",
    "ResolvedRecipe",
    "Result",
    "Role",
    "Run",
    "RunInfo",
    "Sample",
    "Schedule",
    "SetMetric",
    "Step",
    "Tensors",
    "TestSplit",
    "TrainSplit",
    "Translator",
    "Update",
    "UserError",
    "adversarial_pair",
    "atomic_write",
    "convert_image",
    "create",
    "did_you_mean",
    "discriminator",
    "find_images",
    "generator",
    "head",
    "hookimpl",
    "is_image",
    "list_components",
    "load_recipe",
    "loss_of",
    "network",
    "numpy_generator",
    "open_image",
    "open_run",
    "progress",
    "read_file",
    "read_label_map",
    "read_weights",
    "reason_of",
    "sha256_of",
    "tensor",
    "tensors",
    "to_uint8",
    "write_text",
]
