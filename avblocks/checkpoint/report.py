"""Converted weights, and the report on the names of weights that were loaded."""

from dataclasses import dataclass, field, replace

from avblocks.checkpoint.read import State


@dataclass(frozen=True)
class Converted:
    """A state dict converted to the names of avblocks.

    Attributes:
        state: tensors by their names in avblocks.
        dropped: names in the file that are dropped intentionally.
        prefix_tokens: tensors for prefix tokens by parameter name, such as ``"prefix_tokens"`` of
            `ViT`, used if the model has that parameter; otherwise ``prefix_names`` are dropped.
        prefix_names: names in the file from which the prefix tokens are made.
    """

    state: State
    dropped: tuple[str, ...] = ()
    prefix_tokens: State = field(default_factory=dict)
    prefix_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadReport:
    """Report on loaded weights, with a summary for ``print``.

    Attributes:
        loaded: names in the model whose weights were loaded.
        missing: names in the model left at initialization.
        unused: names in the file that match nothing in the model.
        reshaped: names in the model whose tensor was resized.
        dropped: names in the file that are dropped intentionally, such as a class token.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def prefixed(self, prefix: str) -> "LoadReport":
        """Return the report with a prefix on the names in the model, for a larger model."""
        loaded, missing, reshaped = (
            tuple(prefix + name for name in names)
            for names in (self.loaded, self.missing, self.reshaped)
        )
        return replace(self, loaded=loaded, missing=missing, reshaped=reshaped)

    def __str__(self) -> str:
        rows = {
            "loaded": self.loaded,
            "left at initialization": self.missing,
            "unused in the file": self.unused,
            "reshaped": self.reshaped,
            "dropped on purpose": self.dropped,
        }
        return "\n".join(f"{title}: {summary(names)}" for title, names in rows.items())


def summary(names: tuple[str, ...], *, shown: int = 4) -> str:
    """Return the number of names, and the first of them."""
    if not names:
        return "none"
    rest = f", ... (+{len(names) - shown})" if len(names) > shown else ""
    return f"{len(names)} ({', '.join(names[:shown])}{rest})"
