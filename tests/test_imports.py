"""What an import costs: seconds of the processor, and libraries that wait until they are used."""

import sys
from inspect import ismodule

from fresh import Fresh

import avblocks

LIBRARY = """
import sys, time, torch
before, start = set(sys.modules), time.process_time()
import avblocks
print(time.process_time() - start)
print(*{name.split(".")[0] for name in set(sys.modules) - before})
"""
HELP = """
import runpy, sys
from recipes.__main__ import recipes
from pathlib import Path

heavy = {
    "torchvision", "lightning", "matplotlib", "pandas", "sklearn", "scipy", "torchmetrics",
    "tensorboard", "mir_eval", "torch._dynamo",
}
for name in recipes(Path("recipes")):
    sys.argv = [name, "--help"]
    sys.modules.pop(f"recipes.{name}", None)  # variants have imported it
    try:
        runpy.run_module(f"recipes.{name}", run_name="__main__")
    except SystemExit as end:
        print(name, end.code, *sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


META = """
import sys, torch
from avblocks import av_mae, av_vit
from avblocks.heads import Localizer, classifier, segmenter, separator

sizes = {"depth": 2, "num_heads": 2, "image_size": 32, "audio_size": (32, 32), "patch": 8}
with torch.device("meta"):
    encoder = av_vit(32, num_tokens=(2, 1, 1), **sizes)
    for decoder in ("full", "reading"):
        av_mae(encoder, decoder=decoder, dim=16, depth=1, num_heads=2)
    heads = classifier(32, num_classes=2), Localizer(32), segmenter(32, num_classes=1)
    separator(32)
state = av_vit(32, num_tokens=(2, 1, 1), **sizes).state_dict()
encoder.load_state_dict(state, assign=True)
print("torch._dynamo" in sys.modules)
"""


def test_the_library_adds_next_to_nothing_to_torch(fresh: Fresh) -> None:
    seconds, names = fresh(LIBRARY).stdout.splitlines()
    assert float(seconds) < 0.3
    others = set(names.split()) - sys.stdlib_module_names
    assert others <= {"avblocks", "einops", "jaxtyping", "numpy", "wadler_lindig"}


def test_help_waits_for_no_library_that_only_training_needs(fresh: Fresh) -> None:
    lines = fresh(HELP).stderr.splitlines()
    assert len(lines) >= 13
    assert all(len(line.split()) == 2 and line.endswith(" 0") for line in lines), lines


def test_a_star_import_brings_the_public_names_and_no_module(fresh: Fresh) -> None:
    names = (
        "from torch import nn\nfrom avblocks import *\nprint(nn.__name__)\nprint(*sorted(vars()))"
    )
    module, found = fresh(names).stdout.splitlines()
    public = {n for n, x in vars(avblocks).items() if not n.startswith("_") and not ismodule(x)}
    assert module == "torch.nn"
    assert public <= set(found.split())


def test_models_on_meta_wait_for_the_compiler_of_torch(fresh: Fresh) -> None:
    assert fresh(META).stdout.split() == ["False"]
