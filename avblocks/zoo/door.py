"""`load`: load a model from a file of any supported kind."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avblocks.builder import accepted
from avblocks.checkpoint.checks import check_lost, suffixes
from avblocks.checkpoint.folder import WEIGHTS, is_ours, read_config
from avblocks.checkpoint.load import load_weights
from avblocks.checkpoint.pretrained import from_pretrained
from avblocks.checkpoint.read import State, read_state
from avblocks.checkpoint.rebuild import build_encoder
from avblocks.checkpoint.report import Converted, LoadReport
from avblocks.data import FrontEnd
from avblocks.encoder import AVEncoder
from avblocks.nn.stream import Stream
from avblocks.zoo.front_end import front_end_of
from avblocks.zoo.ours import from_ours, run_encoder, run_sizes
from avblocks.zoo.preprocessing import Statistics, statistics_of
from avblocks.zoo.recognize import inner_state, kind_of, stated
from avblocks.zoo.table import KINDS, Kind, inputs_of


@dataclass(frozen=True)
class Loaded:
    """A model loaded from a file, and its load report.

    Attributes:
        kind: name of the kind of file, as in `KINDS`.
        model: the model, in evaluation mode.
        report: a report on every name in the file.
        saved: the front end of an exported folder.
        statistics: statistics of the inputs that are stored beside the file.
    """

    kind: str
    model: nn.Module
    report: LoadReport
    saved: FrontEnd | None = None
    statistics: Statistics = field(default_factory=dict)

    @property
    def front_end(self) -> FrontEnd:
        """Front end that computes the inputs that the encoder was trained on from batches of clips.

        Raises:
            ValueError: if it is not known; the message gives the reason.
        """
        if self.saved is not None:
            return self.saved
        return front_end_of(self.kind, self.encoder, statistics=self.statistics)

    @property
    def encoder(self) -> AVEncoder | Stream:
        """The encoder in the model: an `AVEncoder`, or the stream of one modality.

        Raises:
            ValueError: if the model has no encoder, such as a single block.
        """
        found = getattr(self.model, "encoder", self.model)
        if not isinstance(found, AVEncoder | Stream):
            raise ValueError(f"{self.kind}: {type(found).__name__} is no encoder")
        return found


def load(
    path: str | Path,
    *,
    allow: Collection[str] = (),
    key: str | None = None,
    prefix: str = "",
    **known: Any,
) -> Loaded:
    """Load a model of the zoo, of a run, or of the paper.

    Heads, the epsilon of norms, mel bins and strides are read from the ``config.json`` that
    transformers writes beside the weights.

    Args:
        path: a published file, a checkpoint of a run, or a folder that `save_pretrained` wrote, of
            avblocks or of transformers.
        allow: suffixes of names that may be dropped, see `load_weights`.
        key: key of the wanted state dict if the file has several, see `read_state`.
        prefix: what the names of the model begin with in a file that also has other parts, such as
            ``"backbone"``; those are reported as dropped. ``backbone``, ``encoder``, ``model`` and
            ``net`` need not be given if all names, or all after the prefix, begin with it.
        **known: arguments of the builder that are not in the file, such as ``num_heads=4`` for an
            unusual number of heads, and other arguments of the builder.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or of no known kind, no name begins with the prefix, its
            tensors are not those of its kind, or its configuration is of another activation.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from avblocks import av_vit
        >>> from avblocks.checkpoint import save_pretrained
        >>> encoder = av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12))
        >>> with TemporaryDirectory() as folder:
        ...     save_pretrained(encoder, folder)
        ...     load(folder).kind
        'avblocks'
    """
    path = Path(path)
    folder = path.parent if path.name == WEIGHTS else path
    if not (key or prefix) and folder.is_dir() and is_ours(folder):
        found = from_pretrained(folder)
        report = LoadReport(tuple(found.encoder.state_dict()))
        kind = _name_of(read_config(folder)["encoder"])
        return Loaded(kind, found.encoder, report, found.front_end)
    if (record := run_encoder(path)) is not None:
        encoder = build_encoder(record)
        report = load_weights(encoder, from_ours(read_state(path)), strict=True, allow=allow)
        return Loaded(_name_of(record), encoder.eval(), report)
    prefix = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    return _load_published(path, read_state(path, key=key), prefix, known, allow)


def _load_published(
    path: Path, whole: State, prefix: str, known: dict[str, Any], allow: Collection[str]
) -> Loaded:
    """Build the model in a state dict, and load it; see `load`."""
    state = inner_state(whole, prefix)
    if not state:
        raise ValueError(f"{path}: no name begins with {prefix!r}, as {min(whole)!r} does not")
    kind = kind_of(state)
    if kind is None:
        inputs = f" and {found} patches" if (found := inputs_of(state)) else ""
        raise ValueError(
            f"{path}: a file of no known kind, with names such as {sorted(state)[:3]}{inputs}; "
            f"known are {', '.join(kind.name for kind in KINDS)}; if the model is a part of it, "
            "pass what its names begin with as prefix=..."
        )
    try:
        model, report = _build(kind, state, run_sizes(path) | stated(kind, path) | known, allow)
    except KeyError as error:
        starts = ", ".join(dict.fromkeys(f"{name.partition('.')[0]}." for name in state))
        raise ValueError(
            f"{path} has names as in {kind.name}, and lacks {error}; if the model is a part of it, "
            f"pass what its names begin with as prefix=...; they begin with {starts:.200}"
        ) from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} has names as in {kind.name}: {error}") from error
    others = tuple(name for name in whole if not name.startswith(prefix))
    report = replace(report, dropped=(*report.dropped, *others))
    return Loaded(kind.name, model.eval(), report, statistics=statistics_of(path))


def _name_of(encoder: Mapping[str, Any]) -> str:
    """Return the kind of an encoder, from its builder and its arguments."""
    name = encoder["builder"].removesuffix("_encoder")
    if name == "ast" and encoder["arguments"]["channels"] == 3:
        name = "deit"  # of the same builder
    return name if name in {kind.name for kind in KINDS} else "avblocks"


def _build(
    kind: Kind, state: State, known: dict[str, Any], allow: Collection[str]
) -> tuple[nn.Module, LoadReport]:
    read = accepted(kind.sizes, **known)
    rest = {name: value for name, value in known.items() if name not in read}
    convert = partial(kind.convert, **accepted(kind.convert, **known))
    rest = {name: value for name, value in rest.items() if name not in convert.keywords}
    model = kind.build(**(kind.sizes(state, **read) | rest))
    dropped = unread(convert, state)
    check_lost(dropped, allow=allow)
    own, weights = model.state_dict(), _weights(convert, state)
    kept = {n: x for n, x in weights.items() if n in own or not n.endswith(suffixes(allow))}
    report = load_weights(model, kept, strict=True)
    return model, replace(report, dropped=(*dropped, *(n for n in weights if n not in kept)))


def _weights(convert: Callable[[State], State | Converted], state: State) -> State:
    found = convert(state)
    return found.state if isinstance(found, Converted) else found


def unread(convert: Callable[[State], State | Converted], state: State) -> tuple[str, ...]:
    """Return the names in a file that a conversion does not use.

    Each tensor is replaced by an expanded scalar, whose gradient shows whether it is used.

    Example:
        >>> unread(lambda state: {"w": state["a"] * 2}, {"a": torch.ones(2), "b": torch.ones(1)})
        ('b',)
    """
    with torch.inference_mode(False), torch.enable_grad():
        numbers = {name: torch.zeros((), requires_grad=True) for name in state}
        spread = {name: number.expand(state[name].shape) for name, number in numbers.items()}
        total = torch.stack([x.sum() for x in _weights(convert, spread).values()]).sum()
        found = torch.autograd.grad(total, list(numbers.values()), allow_unused=True)
    return tuple(name for name, grad in zip(numbers, found, strict=True) if grad is None)
