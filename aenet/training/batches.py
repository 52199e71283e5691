"""From packed views to the step: the batches of an epoch, read and augmented ahead of the network.

For the training loop:

    order = epoch_order(config.sampling, views.pairs, epoch, derive_seed(config.seed, epoch), describe)
    with closing(batches(views, order, config.batch_size, config.augment, config.seed, epoch,
                         start_step=done, device=device, rank=rank, world=world)) as ahead:
        for batch in ahead:                # batch.step counts from start_step
            network(batch.ground, batch.aerial)

What a batch holds is a pure function of (order, seed, epoch, step): a run that goes on at `start_step` with the
checkpoint's order sees what the first would have seen, and `world` processes see together what one would have seen.
The end of the loop, a break, an exception or `close()` ends the reading thread; what fails in it is raised here.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, UInt8
from torch import Tensor

from aenet.data.pairs import Ignored
from aenet.data.views import Views
from aenet.io.errors import AenetError
from aenet.training.augment import AugmentConfig, augment, draw_turns, turn
from aenet.view.spec import NEUTRAL, Unseen

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batch:
    """One step's pairs on the network's device.

    Attributes:
        step: place in the epoch, from 0.
        rows: rows in the views of the whole batch, of all processes, ascending.
        part: which of `rows` this process holds.
        ground, aerial: this process's augmented views, 0..255: floats, or uint8 where no colour changes.
        shift: columns of the map by which the ground views were turned; None: they were not.
        ignore: of the whole batch, which tiles are no negatives of which panoramas, matches aside; None: all are.
    """

    step: int
    rows: Int[np.ndarray, " n"]
    part: slice
    ground: UInt8[Tensor, "p h w 3"] | Float[Tensor, "p h w 3"]
    aerial: UInt8[Tensor, "p h2 w2 3"] | Float[Tensor, "p h2 w2 3"]
    shift: Int64[Tensor, " p"] | None = None
    ignore: Bool[Tensor, "n n"] | None = None


def derive_seed(*parts: int) -> int:
    """Return a seed of 63 bits from all parts: (seed, epoch) for an order, (seed, epoch, step) for a batch."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def steps_per_epoch(pairs: int, batch_size: int, world: int = 1) -> int:
    """Return how many batches an epoch has; a rest too small to be compared, or to share out, waits an epoch."""
    return len(range(0, pairs - max(2, world) + 1, batch_size))


def share(total: int, rank: int, world: int) -> slice:
    """Return which rows of a batch of `total` are this process's: a run, as even as can be."""
    return slice(total * rank // world, total * (rank + 1) // world)


def batches(
    views: Views,
    order: Int[np.ndarray, " n"],
    batch_size: int,
    config: AugmentConfig,
    seed: int,
    epoch: int,
    *,
    start_step: int = 0,
    device: torch.device = _CPU,
    rank: int = 0,
    world: int = 1,
    columns: int = 1,
    unseen: Unseen = NEUTRAL,
    ignored: Ignored | None = None,
    prefetch: int = 2,
) -> Generator[Batch, None, None]:
    """Return an epoch's batches from `start_step` on.

    Args:
        order: rows of the views in the order of the epoch; cut into batches, each then read in ascending order.
        batch_size: pairs of all processes together.
        rank, world: which of how many processes this is.
        columns: of the network's map: each ground view is turned by some of them (`aenet.training.augment`); 1: none.
        unseen: how `config.fov_deg` paints.
        ignored: which rows are no negatives of each other; None: all are.
        prefetch: batches read ahead; each takes its pixels as uint8 on the host and as `Batch` has them on the device.

    Raises:
        AenetError: the order is not one of these views, or the batch has fewer pairs than there are processes.
    """
    if len(order) != len(views) or (len(order) and not 0 <= order.min() <= order.max() < len(views)):
        raise AenetError(f"the epoch's order has {len(order)} rows, the split '{views.split}' {len(views)} pairs")
    if not 0 <= rank < world <= batch_size:
        raise AenetError(f"batches of {batch_size} pairs cannot be shared out to process {rank} of {world}")
    # On CUDA a stream of its own: copies and augmentation run beside the network's step.
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]  # torch's

    def load(step: int) -> _Loaded:
        rows = np.sort(order[step * batch_size : (step + 1) * batch_size])
        part = share(len(rows), rank, world)
        generator = torch.Generator().manual_seed(derive_seed(seed, epoch, step))
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            around = views.spec.aerial.around_horizon
            ground, aerial = augment(views.ground, views.aerial, rows, config, generator, part, device, unseen, around)
            shift = None
            if columns > 1:
                shift, turns = (drawn[part] for drawn in draw_turns(len(rows), ground.shape[2], columns, generator))
                ground = turn(ground, turns)
            ready = None if stream is None else stream.record_event()
        mask = None if ignored is None else ignored.mask(rows)
        ignore = None if mask is None else torch.from_numpy(mask)
        return Batch(step, rows, part, ground, aerial, shift, ignore), ready

    steps = range(start_step, steps_per_epoch(len(order), batch_size, world))
    return _read_ahead([partial(load, step) for step in steps], prefetch)


_Loaded = tuple[Batch, torch.cuda.Event | None]


def _read_ahead(jobs: Sequence[Callable[[], _Loaded]], prefetch: int) -> Generator[Batch, None, None]:
    """Run the jobs in a thread, at most `prefetch` ahead of what is asked for."""
    # One thread: pixels come at memory speed, and the jobs are done in their order.
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        ahead: deque[Future[_Loaded]] = deque()
        try:
            for job in jobs:
                ahead.append(pool.submit(job))
                if len(ahead) > prefetch:
                    yield _received(*ahead.popleft().result())
            while ahead:
                yield _received(*ahead.popleft().result())
        finally:
            for future in ahead:
                future.cancel()


def _received(batch: Batch, ready: torch.cuda.Event | None) -> Batch:
    """Let the network's stream wait for the batch, and keep its memory until that stream is done with it."""
    if ready is not None:
        current = torch.cuda.current_stream(batch.ground.device)
        current.wait_event(ready)
        for view in (batch.ground, batch.aerial):
            view.record_stream(current)
    return batch
