"""
In your own training loop
=========================

Models are plain modules: no framework, no base class, no method to override. Everything on this
page works with all of them, which the tests check for every public model. No GPU was used here.
"""

# %%
# An encoder and a batch for all sections:

import torch

from avblocks import av_vit

SIZES = {"depth": 1, "num_heads": 4, "image_size": 32, "audio_size": (32, 48)}


def clips(batch):
    return {"image": torch.rand(batch, 3, 32, 32), "audio": torch.rand(batch, 1, 32, 48)}


encoder = av_vit(64, **SIZES).eval()
batch = clips(2)
expected = encoder(**batch).fusion.detach()

# %%
# DDP with a missing modality, and FSDP
# -------------------------------------
#
# DDP waits for the gradient of every parameter. If a batch may lack a modality in one of the
# processes, or if a loss reads only the fusion tokens, pass ``find_unused_parameters=True``. It is
# better to mark the samples that lack a modality (``audio_valid``): every parameter then has a
# gradient, which may be zero. FSDP needs neither: shard each block, and then the rest. This script
# does all three in two processes:

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import torch
from avblocks import Block, FusionBlock, av_vit
from avblocks.checkpoint import from_pretrained, save_pretrained
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

distributed.init_process_group("gloo")  # "nccl" with GPUs
rank = distributed.get_rank()


def build():
    torch.manual_seed(0)
    return av_vit(64, depth=2, num_heads=4, image_size=32, audio_size=(32, 48))


def step(model, audio, **valid):
    out = model(image=torch.rand(2, 3, 32, 32), audio=audio, **valid)
    sum(x.square().mean() for x in (out.image, out.audio, out.fusion) if x is not None).backward()
    missing = sum(p.grad is None for p in model.parameters())
    print(f"process {rank}: {missing} parameters without a gradient", flush=True)


audio = torch.rand(2, 1, 32, 48)
# Process 1 has no audio.
step(DistributedDataParallel(build(), find_unused_parameters=True), None if rank else audio)
# Or: one sample of each process has none.
replica = DistributedDataParallel(build(), find_unused_parameters=True)
step(replica, audio, audio_valid=torch.tensor([True, False]))

model = build()
mesh = init_device_mesh("cpu", (2,))  # "cuda" with GPUs
for block in [m for m in model.modules() if isinstance(m, (Block, FusionBlock))]:
    fully_shard(block, mesh=mesh)
fully_shard(model, mesh=mesh)
step(model, audio)
save_pretrained(model, "runs/sharded")  # all processes call it; the whole model is saved
if rank == 0:
    print("saved:", type(from_pretrained("runs/sharded").encoder).__name__, flush=True)
distributed.destroy_process_group()
"""
Path("runs").mkdir(exist_ok=True)
Path("runs/processes.py").write_text(SCRIPT)
command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
done = subprocess.run([*command, "runs/processes.py"], capture_output=True, text=True)
print(*sorted(done.stdout.splitlines()), done.stderr[-500:] if done.returncode else "", sep="\n")

# %%
# ``nn.DataParallel`` gathers :class:`~avblocks.AVTokens` and the other outputs, but PyTorch
# recommends DDP, also on one machine. :doc:`/guide/cluster` lists what was tested on several
# processes.

# %%
# Lightning
# ---------
#
# A task of ``avblocks.tasks`` computes the losses of a batch, so a ``LightningModule`` around it is
# short. A batch moves to the device by its own ``to``; give ``self.log`` its size. The precisions
# ``"bf16-mixed"`` and ``"16-mixed"`` work. ``"bf16-true"`` and ``"64-true"`` convert the batch too,
# which Lightning refuses for frozen dataclasses.

import logging
import warnings

from lightning import pytorch as lightning

from avblocks import av_mae
from avblocks.data import AVBatch, ClipFormat, FrontEnd
from avblocks.tasks import Pretraining

FORMAT = ClipFormat(seconds=0.75, size=32, mels=32)
four = AVBatch(
    image=torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8),
    audio=torch.rand(4, FORMAT.samples) - 0.5,
    flip=torch.zeros(4, dtype=torch.bool),
    gain=torch.zeros(4),
    target=torch.zeros(4, 2),  # classes, which pre-training does not need
    seeds=(0, 1, 2, 3),
    paths=("a.mp4", "b.mp4", "c.mp4", "d.mp4"),
)


logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # hints


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        mae = av_mae(av_vit(64, **SIZES), dim=32, depth=1, num_heads=4)
        self.task = Pretraining(mae, front_end=FrontEnd(FORMAT))

    def training_step(self, batch, _):
        losses = self.task(batch)
        self.log_dict(losses, batch_size=len(batch))
        return losses["loss"]

    def configure_optimizers(self):
        return torch.optim.AdamW(self.task.parameters(), lr=1e-3)


quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
steps = {"max_steps": 2, "log_every_n_steps": 1, "enable_checkpointing": False}
trainer = lightning.Trainer(accelerator="cpu", devices=1, **steps, **quiet)
loader = torch.utils.data.DataLoader([four, four], batch_size=None)
with warnings.catch_warnings(action="ignore"):  # deprecations in Lightning
    trainer.fit(Module(), loader)
print(*(f"{name} {value:.2f}" for name, value in trainer.callback_metrics.items()))

# %%
# Compile, with changing batches
# ------------------------------
#
# All models compile as one graph. Other batch sizes need at most one more graph, and a batch of one
# another one. The first call builds the kernels and needs a C++ compiler, or Triton on a GPU; this
# page counts the graphs and builds no kernels (``backend``). Shape checks
# (``AVBLOCKS_TYPECHECK=1``) do not work with ``torch.compile``.

graphs = []


def count(graph, _):
    graphs.append(graph)
    return graph.forward


compiled = torch.compile(encoder, fullgraph=True, backend=count)  # omit backend to build kernels
for size in (2, 3, 5, 4, 8):
    given = clips(size)
    torch.testing.assert_close(compiled(**given).fusion, encoder(**given).fusion)
print(len(graphs), "graphs for five batch sizes")

# %%
# Export, and ONNX
# ----------------
#
# All models export for any batch size with PyTorch's own exporters. A saved program runs without
# the code of the model; loading it needs ``import avblocks`` for the type of its outputs:

size = torch.export.Dim("batch", min=2, max=64)
shapes = {name: {0: size} for name in batch}
program = torch.export.export(encoder, (), batch, dynamic_shapes=shapes)
torch.export.save(program, "runs/encoder.pt2")

loaded = torch.export.load("runs/encoder.pt2").module()
five = clips(5)
torch.testing.assert_close(loaded(**five).fusion, encoder(**five).fusion)
loaded(**five).fusion.shape

# %%
# The program can be written as ONNX with ``pip install onnxscript onnxruntime``. Its inputs have
# the names of the arguments. Its outputs are the fields of the result that are not ``None``, in
# order; give them names that are not names of parameters:

import onnxruntime

names = ["image_out", "audio_out", "fusion_out"]
torch.onnx.export(program, f="runs/encoder.onnx", output_names=names, verbose=False)
session = onnxruntime.InferenceSession("runs/encoder.onnx")
(fusion,) = session.run(["fusion_out"], {name: x.numpy() for name, x in five.items()})
print(f"difference {(torch.from_numpy(fusion) - encoder(**five).fusion).abs().max().item():.0e}")

# %%
# A modality that is missing at the export (``None``) is missing in the exported program. Export
# masks and the ``valid`` arguments like other inputs. Shape checks do not work with the exporters.
#
# LoRA
# ----
#
# Every layer with weights is called as a module, so wrappers of a layer take effect: LoRA by
# ``peft``, quantization, hooks. ``recipes.paper_finetune_lora`` has adapters in forty lines; the
# merged layers compute the same outputs:

from torch import nn

from recipes.paper_finetune_lora import adapt, merge  # from the root of the repository

adapted = av_vit(64, **SIZES).eval()
adapted.load_state_dict(encoder.state_dict())
adapt(adapted, rank=4)
for name, parameter in adapted.named_parameters():
    if "up.weight" in name:
        nn.init.normal_(parameter, std=0.1)  # as if trained
out = adapted(**batch)
(out.image.sum() + out.audio.sum() + out.fusion.sum()).backward()
trained = [p for p in adapted.parameters() if p.requires_grad]
print(f"{sum(p.numel() for p in trained):,} of {sum(p.numel() for p in adapted.parameters()):,}")
print("adapters without a gradient:", sum(not p.grad.any() for p in trained))
merge(adapted)
torch.testing.assert_close(adapted(**batch).fusion, out.fusion, atol=1e-5, rtol=1e-4)

# %%
# The recipe trains an adapter of rank 8 beside each linear layer of a pre-trained encoder:
#
# .. code-block:: bash
#
#    python -m recipes.paper_finetune_lora
#
# Top-1 accuracy in percent on held-out scenes for one seed, from the same pre-training with
# factorized fusion, by ``python -m recipes.study.lora --seeds 1``:
#
# .. measured:: lora.json
#    :head: trained, top-1 accuracy, parameters trained
#
#    probe: linear probe
#    adapters: adapters of rank 8, and the head
#    full: all parameters
#
# The adapters train with four times the learning rate of full fine-tuning and without layer decay,
# the better of two settings that were tried. With the settings of full fine-tuning they reach 69.8%
# in the same 20 epochs.
#
# Quantization
# ------------
#
# Dynamic quantization replaces every linear layer. PyTorch deprecates this function in favor of the
# package ``torchao``, which is not tested here.

with warnings.catch_warnings(action="ignore"):  # the deprecation
    quantized = torch.ao.quantization.quantize_dynamic(encoder, {nn.Linear}, dtype=torch.qint8)
    difference = (quantized(**batch).fusion - expected).abs().mean() / expected.abs().mean()
replaced = [m for m in quantized.modules() if "quantized" in type(m).__module__]
print(sum(hasattr(m, "scale") for m in replaced), "linear layers replaced")
print(f"mean difference {difference.item():.1%}")

# %%
# The meta device
# ---------------
#
# A model that is built on the device "meta" has shapes and no memory. Either weights are assigned
# to it, or it gets memory and is then filled. Fixed positions are not in the state dict:
# ``load_state_dict`` computes them again:

with torch.device("meta"):
    empty = av_vit(64, **SIZES).eval()
empty.load_state_dict(encoder.state_dict(), assign=True)
print("assigned:", torch.equal(empty(**batch).fusion, expected))

with torch.device("meta"):
    empty = av_vit(64, **SIZES).eval()
empty.to_empty(device="cpu").load_state_dict(encoder.state_dict())
print("filled:", torch.equal(empty(**batch).fusion, expected))

# %%
# To initialize it instead, call ``reset_parameters`` from the inner modules outward: a block
# initializes its linear layers, whose own ``reset_parameters`` is PyTorch's default:

with torch.device("meta"):
    empty = av_vit(64, **SIZES)
torch.manual_seed(0)
for module in reversed([*empty.to_empty(device="cpu").modules()]):
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
print("biases are zero:", not empty.image.blocks[0].attn.q.bias.any().item())

# %%
# Resuming bit for bit, activation checkpointing and learning rates in a loop of your own:
# :doc:`/guide/training`. Saving and sharing: :doc:`/guide/weights`.
