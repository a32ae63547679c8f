"""Pages worked on by several processes, each with the checkpoint loaded."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from .arguments import UsageError
from .loading import Reader, load_reader

Item = TypeVar("Item")
Made = TypeVar("Made")
_AHEAD = 3  # items that wait for each process

_reader: Reader | None = None


def side_by_side(
    work: Callable[[Reader, Item], Made], items: Iterable[Item], reader: Reader, num_processes: int
) -> Iterator[Made]:
    """What `work` makes of each item, in order; in this process where one is enough.

    Args:
        work: a function of a module, or a partial of one, that other processes can import.
        items: taken a few ahead of what has been made.

    Raises:
        UsageError: a process died.
    """
    if num_processes == 1:
        yield from (work(reader, item) for item in items)
        return
    rest = iter(items)
    with ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_load,
        initargs=(reader.source, max(1, (os.cpu_count() or 1) // num_processes)),
    ) as pool:
        waiting: deque[Future[Made]] = deque(
            pool.submit(_worked, work, item) for item in islice(rest, _AHEAD * num_processes)
        )
        try:
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(pool.submit(_worked, work, item) for item in islice(rest, 1))
                yield made
        except BrokenProcessPool as error:
            raise UsageError(
                "a process that read pages died, most likely for lack of memory; use a smaller --num-processes"
            ) from error


def _load(checkpoint: str, threads: int) -> None:
    global _reader
    import torch

    torch.set_num_threads(threads)
    _reader = load_reader(checkpoint)


def _worked(work: Callable[[Reader, Any], Made], item: Any) -> Made:
    assert _reader is not None
    return work(_reader, item)
