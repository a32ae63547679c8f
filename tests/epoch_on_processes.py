"""Launched by accelerate: each process writes which records it saw, step by step, in two epochs."""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from torch.utils.data import DataLoader

from processing.triplets import BatchStream

BATCH, STEPS = 3, 8


def main(shards: str, out: str) -> None:
    accelerator = Accelerator(cpu=True)
    stream = BatchStream(
        sorted(Path(shards).glob("*.parquet")),
        lambda recording, _: recording.record_id,
        list,
        BATCH,
        seed=5,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    batches = iter(DataLoader(stream, batch_size=None, num_workers=2))
    seen = [next(batches) for _ in range(STEPS)]
    found = {"processes": accelerator.num_processes, "seen": seen}
    Path(out, f"{accelerator.process_index}.json").write_text(json.dumps(found))
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])
