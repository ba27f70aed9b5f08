"""`Batches`: the training batches from where the run stands, epoch after epoch."""

from collections.abc import Generator
from typing import Any, cast

from torch.utils.data import DataLoader

from avblocks.data.keyed import KeyedBatches


class Batches:
    """Gives one batch after the other; `position` counts those that have been trained on.

    Args:
        loader: Gives the rest of the epoch that its batch sampler stands in.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.position = cast(KeyedBatches, loader.batch_sampler)
        self.per_epoch = len(loader)
        self._stream = _epochs(loader)

    def take(self) -> Any:
        """Return the next batch; a new epoch begins where one ends.

        Raises:
            ConnectionResetError: If a worker of the loader died.
        """
        return next(self._stream)

    def close(self) -> None:
        """Release the loader, so that its workers end now."""
        self._stream.close()


def _epochs(loader: DataLoader[Any]) -> Generator[Any, None, None]:
    while True:
        empty = True
        try:
            for batch in loader:
                empty = False
                yield batch
        except EOFError as error:  # one of several ways in which a worker's death is noticed
            raise ConnectionResetError("the line to it is cut") from error
        if empty:
            raise RuntimeError("the loader gave no batch for a whole epoch")
