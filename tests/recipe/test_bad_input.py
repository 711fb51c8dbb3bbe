"""Faults of a recipe: the exact messages of the command. Those of plugins and of runs are in the files beside this."""

# ruff: noqa: E501 - a message stands on one line, as the user reads it

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recipe.faults import BARE, GENERATORS, LOSSES, METHODS, TENSORS, Case, case, printed

BLOCKS = "method, data, generator, discriminator, networks, losses, optimizer, schedule, updates, training, metrics, observers, plugins"
TRAINING = (
    "length, batch_size, accumulate, seed, workers, precision, channels_last, compile, ema, log_every, "
    "checkpoint_every, keep_checkpoints, sample_every, samples, evaluate_every"
)
RESNET = "blocks, width, downs, norm, dropout, padding, upsample, antialias, init, init_from, optimizer, freeze"
UNET = "downs, width, norm, dropout, test_like_training, init, init_from, optimizer, freeze"
LENGTH = "a length such as '500 steps' or '1 epoch'"
SIDE = "a whole number greater than 0, or a list of 2, each a whole number greater than 0, or null"
BETAS = "a list of 2, each a number at least 0 and less than 1"

KEYS = [
    case(
        "unknown key at the top", "traning={length: 5 steps}",
        f"traning  a recipe has no block 'traning', did you mean 'training'? It takes: {BLOCKS}",
    ),
    case(
        "a key of training at the top", "batch_size=4",
        f"batch_size  a recipe has no block 'batch_size', did you mean 'training.batch_size'? It takes: {BLOCKS}",
    ),
    case(
        "unknown key in a component", "generator.blcks=3",
        f"generator.blcks  resnet has no option 'blcks', did you mean 'blocks'? It takes: {RESNET}",
    ),
    case(
        "unknown key in training", "training.lenght=5 steps",
        f"training.lenght  training has no option 'lenght', did you mean 'length'? It takes: {TRAINING}",
    ),
    case(
        "unknown key in a nested pool", "losses.adversarial.pool.sze=3",
        "losses.adversarial.pool.sze  history has no option 'sze', did you mean 'size'? It takes: size",
    ),
    case(
        "unknown key in the transform", "data.transform.crp=3",
        "data.transform.crp  transform has no option 'crp', did you mean 'crop'? It takes: resize, keep_aspect, crop, flip, crop_until",
    ),
    case(
        "an argument that the engine gives", "generator.in_channels=3",
        f"generator.in_channels  resnet has no option 'in_channels'. It takes: {RESNET}",
    ),
    case(
        "a key of another component", "networks={G_AB: {type: unet, blocks: 2}}",
        f"networks.G_AB.blocks  unet has no option 'blocks'. It takes: {UNET}",
    ),
]  # fmt: skip

VALUES = [
    case("text for a number", "generator.blocks=three", "generator.blocks  must be a whole number greater than 0, not 'three'"),
    case("a number in quotes", "generator.blocks='3'", "generator.blocks  must be a whole number greater than 0, not '3'"),
    case("a fraction for a whole number", "generator.blocks=2.5", "generator.blocks  must be a whole number greater than 0, not 2.5"),
    case("a boolean for a number", "generator.blocks=true", "generator.blocks  must be a whole number greater than 0, not true"),
    case("null for a number", "training.workers=null", "training.workers  must be a whole number at least 0 and at most 1024, not null"),
    case("a number for a boolean", "data.transform.flip=1", "data.transform.flip  must be true or false, not 1"),
    case("below an inclusive bound", "training.seed=-1", "training.seed  must be a whole number at least 0, not -1"),
    case("at an exclusive bound", "training.batch_size=0", "training.batch_size  must be a whole number greater than 0 and at most 1000000, not 0"),
    case("a negative rate", "optimizer.lr=-0.1", "optimizer.lr  must be a number greater than 0, not -0.1"),
    case("a rate of zero", "optimizer.lr=0", "optimizer.lr  must be a number greater than 0, not 0"),
    case("not a number", "optimizer.lr=.nan", "optimizer.lr  must be a number greater than 0, not .nan"),
    case("infinity", "losses.cycle.weight=.inf", "losses.cycle.weight  must be a number at least 0, not .inf"),
    case("infinity by overflow", "optimizer.lr=1e999", "optimizer.lr  must be a number greater than 0, not .inf"),
    case("not a number in a list", "optimizer.betas=[0.5, .nan]", f"optimizer.betas  must be {BETAS}, not [0.5, .nan]"),
    case("a list that is too short", "optimizer.betas=[0.5]", f"optimizer.betas  must be {BETAS}, not [0.5]"),
    case("out of range in a list", "optimizer.betas=[0.5, 1]", f"optimizer.betas  must be {BETAS}, not [0.5, 1]"),
    case("a number for a list", "optimizer.betas=0.5", f"optimizer.betas  must be {BETAS}, not 0.5"),
    case(
        "at the lower of two bounds", "training.ema=0",
        "training.ema  must be a number greater than 0 and less than 1, or a block of decay, every, from, or null, not 0",
    ),
    case(
        "at the upper of two bounds", "training.ema=1",
        "training.ema  must be a number greater than 0 and less than 1, or a block of decay, every, from, or null, not 1",
    ),
    case("at the upper bound", "generator.dropout=1", "generator.dropout  must be a number at least 0 and less than 1, not 1"),
    case("not one of the choices", "training.precision=fp8", "training.precision  must be one of fp32, bf16, fp16, fp64, not 'fp8'"),
    case("not one of the numbers", "data.channels_A=2", "data.channels_A  must be one of 1, 3, or null, not 2"),
    case("three sides", "data.transform.crop=[1, 2, 3]", f"data.transform.crop  must be {SIDE}, not [1, 2, 3]"),
    case("a negative weight", "losses.cycle.weight=-1", "losses.cycle.weight  must be a number at least 0, not -1"),
    case("a weight in words", "losses.cycle.weight=heavy", "losses.cycle.weight  must be a number at least 0, not 'heavy'"),
    case("a length in apples", "schedule.constant=5 apples", f"schedule.constant  must be {LENGTH}, not '5 apples'"),
    case("a length without a unit", "training.length=5", f"training.length  must be {LENGTH}, not 5"),
    case("a length of nothing", "training.length=0 steps", "training.length  must be at least 1 step"),
    case("an interval of nothing", "training.log_every=0 epochs", "training.log_every  must be at least 1 step"),
    case("options that contradict each other", "data.transform.resize=20", "data.transform  crop 24 is greater than resize 20: it must fit inside"),
    case("pairs that are a list", "losses.cycle.pairs=[rec_A]",
         "losses.cycle.pairs  must be a mapping from text to text, or text, not [rec_A]"),
    case("weights that are not a path", "generator.init_from=3",
         "generator.init_from  must be the path of a file of weights, not 3"),
]  # fmt: skip

COMPONENTS = [
    case(
        "a misspelt component", "generator.type=resent",
        f"generator.type  there is no generator 'resent', did you mean 'resnet'? There are: {GENERATORS}",
    ),
    case(
        "a component in another case", "generator.type=ResNet",
        f"generator.type  there is no generator 'ResNet', did you mean 'resnet'? There are: {GENERATORS}",
    ),
    case("a component of another name", "method.type=stylegan", f"method.type  there is no method 'stylegan', did you mean 'cyclegan'? There are: {METHODS}"),
    case(
        "a misspelt nested component", "losses.adversarial.pool={type: histroy}",
        "losses.adversarial.pool.type  there is no pool 'histroy', did you mean 'history'? There are: history, none",
    ),
    case(
        "a misspelt initialisation", "generator.init={type: nromal}",
        "generator.init.type  there is no init 'nromal', did you mean 'normal'? "
        "There are: kaiming, none, normal, orthogonal, xavier",
    ),
    case("an option of an initialisation", "generator.init={type: normal, std: -1}",
         "generator.init.std  must be a number greater than 0, not -1"),
    case("early stopping of nothing", "observers.x={type: early_stopping}",
         "observers.x.watch  is missing: early_stopping needs it (text)"),
    case("no patience", "observers.x={type: early_stopping, watch: cycle, patience: 0}",
         f"observers.x.patience  must be a whole number greater than 0, or {LENGTH}, not 0"),
    case("a patience of no steps", "observers.x={type: early_stopping, watch: cycle, patience: 0 epochs}",
         "observers.x  patience must be at least 1 step"),
    case("a patience without a unit of training", "observers.x={type: early_stopping, watch: cycle, patience: 3 days}",
         "observers.x.patience  must be a length such as '500 steps' or '1 epoch', not '3 days'"),
    case("an unknown mode", "observers.x={type: early_stopping, watch: cycle, mode: least}",
         "observers.x.mode  must be one of min, max, or null, not 'least'"),
    case("a negative change", "observers.x={type: early_stopping, watch: cycle, min_delta: -0.1}",
         "observers.x.min_delta  must be a number at least 0, not -0.1"),
    case("an option that csv lacks", "observers.x={type: csv, file: a.csv}", "observers.x.file  csv has no option 'file'. It takes none"),
    case("a misspelt metric", "metrics.x={type: snr}", "metrics.x.type  there is no metric 'snr', did you mean 'psnr'? There are: psnr, ssim, swd"),
    case("a block without a type", "generator={blocks: 2}", f"generator  has no `type`: which generator? There are: {GENERATORS}"),
    case("a nested block without a type", "losses.adversarial.pool={size: 5}",
         "losses.adversarial.pool  has no `type`: which pool? There are: history, none"),
    case("a type that is not text", "generator.type=3", f"generator.type  must be the name of a generator, not 3. There are: {GENERATORS}"),
    case("a name for a block", "generator=resnet", "generator  must be a block: write {type: resnet}"),
    case("a number for a block", "losses.adversarial.pool=50",
         "losses.adversarial.pool  must be a block with a `type`, not 50. There are: history, none"),
    case("null for a nested block", "losses.adversarial.pool=null",
         "losses.adversarial.pool  must be a block with a `type`, not null. There are: history, none"),
    case("a missing block", "data=null", "data  is missing: the recipe names no dataset. There are: class_folders, paired_folders, paired_side_by_side, synthetic, unpaired_folders"),
    case("no optimizer", "optimizer=null", "optimizer  is missing: the recipe names no optimizer. There are: adam, adamw, sgd"),
    case("no training", "training=null",
         "training  is missing: give at least a length, such as `training: {length: 200 epochs}`"),
    case("training that is a number", "training=5", f"training  must be a block, not 5. It takes: {TRAINING}"),
    case("a missing required option", "data={type: unpaired_folders}", "data.root  is missing: unpaired_folders needs it (text)"),
    case("no length", "training={seed: 1}", f"training.length  is missing: training needs it ({LENGTH})"),
    case("one side of an optimizer", "optimizer={generators: {type: adam}}",
         "optimizer.discriminators  is missing: where one side has its own optimizer, each needs one"),
    case(
        "a misspelt side", "optimizer={generators: {type: adam}, discriminator: {type: adam}}",
        "optimizer.discriminator   the method has no side 'discriminator', did you mean 'discriminators'? "
        "It has: generators, discriminators",
        "optimizer.discriminators  is missing: where one side has its own optimizer, each needs one",
    ),
    case("sides of a method that does not exist", ("optimizer={generators: {type: adam}}", "method.type=cyclgan"),
         f"method.type  there is no method 'cyclgan', did you mean 'cyclegan'? There are: {METHODS}"),
    case("an unknown network", "networks={G_AC: {blocks: 2}}",
         "networks.G_AC  the method has no network 'G_AC', did you mean 'G_BA'? It has: G_AB, G_BA, D_A, D_B"),
    case("networks that are a list", ("networks=[1]", "generator=null"),
         f"generator  is missing: the recipe names no generator. There are: {GENERATORS}",
         "networks   must be a mapping of named blocks, not [1]"),
    case("some networks and no block for the others", ("networks={G_AB: {type: resnet}}", "generator=null"),
         "networks.G_BA  is missing: without a block `generator`, each needs its own"),
    case("an option merged into one network", ("networks={G_AB: {width: -1}}", "generator.blocks=-1"),
         "generator.blocks     must be a whole number greater than 0, not -1",
         "networks.G_AB.width  must be a whole number greater than 0, not -1"),
    case("an option replaced with its type", "networks={G_AB: {type: unet, downs: 1}}",
         "networks.G_AB.downs  must be a whole number at least 2 and at most 16, not 1"),
    case("metrics that are a list", "metrics=[1]", "metrics  must be a mapping of named blocks, not [1]"),
    case("plugins that are not a list", "plugins=tiny.py", "plugins  must be a list of modules and .py files, not 'tiny.py'"),
]  # fmt: skip

BLOCKS_TOGETHER = [
    Case("a block that the method does not use", ("plugins=[bare.py]", "method={type: bare}"),
         "discriminator            the method has no discriminator: leave the block out\n"
         "losses.adversarial.type  lsgan is defined for the side discriminators, which the method lacks. "
         "It has: generators", files={"bare.py": BARE}),
    case("no losses", "losses={}", f"losses  is missing or empty: a run needs at least one loss. There are: {LOSSES}"),
    case("every loss switched off", ("losses.cycle.weight=0", "losses.adversarial=null", "losses.identity.weight=0"),
         "losses  are all switched off (weight 0 or null): a run needs at least one loss"),
    case("a name with a separator", 'losses={"a/b": {type: lsgan}}',
         "losses  the name 'a/b' must not contain '/' or '.', which separate names in logs and keys"),
    case("a misspelt loss made by --set", "losses.identty.weight=0",
         f"losses.identty  has no `type`: which loss? There are: {LOSSES}. Or did you mean losses.identity?"),
    case("a tensor that the method lacks", "losses.cycle.pairs={rec_a: real_A}",
         "losses.cycle.pairs.rec_a  the method has no tensor 'rec_a', did you mean 'rec_A'? It has: " + TENSORS),
    case("a reference that the method lacks", "losses.cycle.pairs={rec_A: real_C}",
         "losses.cycle.pairs.rec_A  the method has no tensor 'real_C', did you mean 'real_B'? It has: " + TENSORS),
    case("a metric of tensors that the method lacks", "metrics.x={type: psnr, pairs: {fake_A: target_a, fake_Q: real_A}}",
         "metrics.x.pairs.fake_Q  the method has no tensor 'fake_Q', did you mean 'fake_B'? It has: " + TENSORS),
    case("a metric without a target", "metrics.x={type: psnr}",
         "metrics.x  compares fake_B with target_B, fake_A with target_A, and no test images give both: "
         "set its `pairs` to tensors that they do give, or leave the metric out"),
    case("references of a metric of pairs", "metrics.x={type: psnr, references: train}",
         "metrics.x.references  psnr compares pairs of images; set its `pairs`"),
    case("references beside pairs", "metrics.x={type: swd, references: test, pairs: {rec_A: real_A}}",
         "metrics.x.references  is not used where `pairs` names the references; remove one"),
    case("references that are none", "metrics.x={type: swd, references: all}",
         "metrics.x.references  must be one of test, train, not 'all'"),
    case("a metric of no images", "metrics.x={type: swd, images: 0}",
         "metrics.x.images  must be a whole number greater than 0, or null, not 0"),
    case("domains of other channels", "data.channels_A=1",
         "losses.identity  cannot be computed: G_BA takes images of B with 3 channels, and was given 1; "
         "give the domains equal numbers of channels under `data`, or leave this out"),
    case("an image that is not a multiple", "data.transform.crop=22",
         "generator  resnet needs images with sides that are multiples of 4, and they are 22×22: "
         "change their size under `data`, or the options of resnet"),
    case("a U-Net that is too deep", ("generator={type: unet, downs: 8}", "data.transform={resize: 64}"),
         "generator  unet needs images with sides that are multiples of 256, and they are 64×64: "
         "change their size under `data`, or the options of unet"),
    case("a batch larger than the data", "training.batch_size=7",
         "training.batch_size  a step takes 7 images (batch_size × accumulate × processes), an epoch of this dataset has 6"),
    case("several of the shapes at once", ("data.transform.crop=22", "training.batch_size=7"),
         "generator            resnet needs images with sides that are multiples of 4, and they are 22×22: "
         "change their size under `data`, or the options of resnet",
         "training.batch_size  a step takes 7 images (batch_size × accumulate × processes), an epoch of this dataset has 6"),
    case("several of the recipe at once, in its order", ("optimizer.lr=-1", "losses.cycle.weight=-1", "generator.blcks=3", "plugins=[no]"),
         f"generator.blcks      resnet has no option 'blcks', did you mean 'blocks'? It takes: {RESNET}",
         "losses.cycle.weight  must be a number at least 0, not -1",
         "optimizer.lr         must be a number greater than 0, not -1",
         "plugins.0            there is no module 'no'; install its package, "
         "or name a .py file beside the recipe"),
]  # fmt: skip

OVERRIDES = [
    case("no equals sign", "training", "--set  'training' must be KEY=VALUE, such as training.batch_size=4"),
    case("an empty key", "a..b=3", "--set  'a..b=3' must be KEY=VALUE, such as training.batch_size=4"),
    case("into a scalar", "method.type.x=3", "--set  'method.type.x' cannot be set: method.type is 'cyclegan', not a block"),
    case("broken YAML", "training.length=[1",
         "--set  the value of training.length, line 1, column 3: expected ',' or ']', but got the end; the […] begins in line 1"),
    case("objects", "a=!!python/name:os.system",
         "--set  the value of a, line 1, column 1: '!!python/name:os.system' is not a supported tag: a recipe holds plain data only"),
    case("two at once", ("x", "y"),
         "--set  'x' must be KEY=VALUE, such as training.batch_size=4",
         "--set  'y' must be KEY=VALUE, such as training.batch_size=4"),
]  # fmt: skip


def text(name: str, content: str | bytes, message: str) -> Case:
    """A file that is not a recipe."""
    return Case(name, (), f"r.yaml{message}", "", {"r.yaml": content})


FILES = [
    text("an open brace", "method: {type: cyclegan\ndata: 3\n", ", line 2, column 5: expected ',' or '}', but got ':'; the {…} begins in line 1"),
    text("an open quote", 'a: "abc\n', ", line 2, column 1: a quote is not closed; the text begins in line 1"),
    text("a tab", "method:\n\ttype: cyclegan\n",
         ", line 2, column 1: an unexpected character; indent with spaces, not tabs, and quote special characters"),
    text("an odd indentation", "a:\n  b: 1\n c: 2\n",
         ", line 3, column 2: the indentation differs from that of the lines above; the block begins in line 1"),
    text("two colons", "a: b: c\n", ", line 1, column 5: an unexpected ':'; text that contains ': ' needs quotes"),
    text("a key without a colon", "a: 1\nb\nc: 2\n", ", line 3, column 1: a key without ':' after it"),
    text("a duplicate key", "a: 1\nb: 2\na: 3\n", ", line 3, column 1: the key 'a' occurs twice, first in line 1"),
    text("a duplicate key inside", "a:\n  b: 1\n  'b': 2\n", ", line 3, column 3: the key 'b' occurs twice, first in line 2"),
    text("an object", "method: !!python/object/apply:os.system ['touch pwned']\n",
         ", line 1, column 9: '!!python/object/apply:os.system' is not a supported tag: a recipe holds plain data only"),
    text("a set", "a: !!set {x, y}\n", ", line 1, column 4: '!!set' is not a supported tag: a recipe holds plain data only"),
    text("a tag of a scalar", "a: !!bool x\n", ", line 1, column 4: '!!bool' is not a supported tag: a recipe holds plain data only"),
    text("a tag of a list", "a:\n  b: !!float [1]\n", ", line 2, column 6: '!!float' is not a supported tag: a recipe holds plain data only"),
    text("a tag of no kind", "a: !<\n", ", line 1, column 6: tags are not supported: a recipe holds plain data only"),
    text("a number of many digits", f"a: {'1' * 5000}\n", ", line 1, column 4: a number of 5,000 digits; at most 4,000 are supported"),
    text("a directive", "%x\na: 1\n", ", line 2, column 1: nothing may follow here; is a bracket or a quote missing?"),
    text("another YAML", "%YAML 2.0\n---\na: 1\n", ", line 1, column 1: directives are not supported; text that begins with % needs quotes"),
    text("an unknown escape", 'a: "\\q"\n',
         ", line 1, column 6: an unknown escape in double quotes; write \\\\ for a backslash, or use single quotes; the text begins in line 1"),
    text("text beside a bar", "a: | b\n", ", line 1, column 6: nothing but a comment may follow | or > on its line: the text begins on the next line"),
    text("a question mark", "a: ? b\n", ", line 1, column 4: an unexpected '?'; text that begins with '? ' needs quotes"),
    text("a list on the line of its key", "a: - b\n", ", line 1, column 4: an unexpected '-'; a list begins on a line of its own"),
    text("a missing value", "a: [1,, 2]\n", ", line 1, column 7: a value is missing"),
    text("text after text", "a: ['b' 'c']\n", ", line 1, column 9: expected ',' or ']', but got text; the […] begins in line 1"),
    text("an anchor", "a: &x {b: 1}\n", ", line 1, column 4: anchors and aliases are not supported; text that begins with & or * needs quotes"),
    text("an alias", "a: 1\nb: *x\n", ", line 2, column 4: anchors and aliases are not supported; text that begins with & or * needs quotes"),
    text("a list for a key", "? [a]\n: 1\n", ", line 1, column 3: a key must be text"),
    text("two documents", "a: 1\n---\nb: 2\n", ", line 2, column 1: a second document begins; a recipe is a single document"),
    text("a control character", "a: 1\nb: \0\n", ", line 2, column 4: a control character; recipes are plain text"),
    text("blocks that are nested too deeply", "[" * 3000, ": blocks are nested too deeply"),
    text("an image", b"\x89PNG\xff", " is not a YAML file: it has bytes that are not UTF-8 text"),
    Case("an empty file", (), "recipe r.yaml is empty: a recipe is a mapping of blocks such as `method:`, `data:`, `losses:`",
         "", {"r.yaml": "# nothing\n"}),
    Case("a list", (), "recipe r.yaml holds [a]: a recipe is a mapping of blocks such as `method:`, `data:`, `losses:`",
         "", {"r.yaml": "- a\n"}),
]  # fmt: skip

ALL = {
    "keys": KEYS, "values": VALUES, "components": COMPONENTS, "blocks together": BLOCKS_TOGETHER,
    "overrides": OVERRIDES, "files": FILES,
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong", [pytest.param(item, id=f"{group}: {item.name}") for group, items in ALL.items() for item in items]
)
def test_recipe(wrong: Case, check: Callable[[Case], None]) -> None:
    check(wrong)


def test_the_base_recipe_is_valid(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "r.yaml", "--dry-run") == (0, "")


def test_the_table_is_complete() -> None:
    cases = [item for items in ALL.values() for item in items]
    assert len(cases) >= 100
    assert len({(item.overrides, item.message, str(item.files)) for item in cases}) == len(cases)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.yaml", "there is no file missing.yaml"),
        ("R.yaml", "there is no file R.yaml, did you mean 'r.yaml'?"),
        ("data", "data is a folder, not a file"),
    ],
)
def test_no_recipe(path: str, message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, path) == (2, f"translate-run: {message}\n")


# As a process


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.lenght=1"], KEYS[3].message),
        (["--set", "losses.cycle.pairs={rec_a: real_A}"], "decoding dataset data (16 files)\n" + BLOCKS_TOGETHER[5].message),
        (["--set", "data.root=nowhere"], "translate-run: dataset nowhere has 1 fault\n"
         "  nowhere  does not exist. The current folder is {here}. "
         "Set data.root to the folder that holds trainA and trainB, or set data.download\n"),
        (["--set", "plugins=[bad.py]"], "translate-run: recipe r.yaml has 1 fault\n  plugins.0  plugin bad.py cannot be "
         "imported: ZeroDivisionError: division by zero (bad.py, line 1)\n"),
    ],
    ids=["unknown key", "unknown tensor", "no data", "broken plugin"],
)  # fmt: skip
def test_as_a_process(arguments: list[str], message: str, place: Path) -> None:
    (place / "bad.py").write_text("1 / 0\n")
    done = subprocess.run(
        [sys.executable, "-m", "translate_core.run", "r.yaml", *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr == message.format(here=place)
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (2, "")
