"""A forked process leaves alone what its parent decoded, whose threads it does not have."""

import gc
import multiprocessing
from multiprocessing.connection import Connection

import avblocks.data.decode.container  # noqa: F401


def send_frozen(connection: Connection) -> None:
    connection.send(gc.get_freeze_count())


def test_garbage_of_the_parent_is_never_freed_in_a_forked_process() -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=send_frozen, args=(theirs,))
    process.start()
    assert ours.recv() > 1000
    process.join()
    assert gc.get_freeze_count() < 1000
