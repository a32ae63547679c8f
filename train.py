"""Trains ECG-Scan in stages: `signal-text` (gold standard), `read` (locate and read), `align`.

Without arguments it trains the `tiny` preset on simulated recordings in about five minutes and writes a checkpoint
to `runs/tiny/checkpoint`. On several processes: `accelerate launch train.py ...` or `torchrun ... train.py ...`.
"""

import argparse
import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType
from accelerate.utils import set_seed
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from hub_scripts.arguments import UsageError
from hub_scripts.checkpoint import replace_folder, save_checkpoint
from hub_scripts.loading import first_line
from hub_scripts.training_data import pages_left_out, prepared_shards, texts_of
from hub_scripts.training_loop import StageArguments
from modeling_ecgscan.configuration_ecgscan import ECGScanConfig
from modeling_ecgscan.modeling_ecgscan import ECGScanModel
from processing.feature_extraction_ecgscan import ECGScanFeatureExtractor
from processing.image_processing_ecgscan import ECGScanImageProcessor
from processing.processing_ecgscan import ECGScanProcessor
from processing.tokenization_ecgscan import train_tokenizer
from processing.wfdb_records import RecordError

# Steps, batch size and learning rate of each stage, by preset.
DEFAULTS = {
    "tiny": {"signal-text": (120, 32, 2e-3), "read": (60, 4, 2e-3), "align": (8, 8, 1e-3)},
    "base": {"signal-text": (1000, 64, 1e-3), "read": (20000, 8, 1e-3), "align": (300, 16, 1e-3)},
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--preset", choices=sorted(DEFAULTS), default="tiny", help="size of a new model")
    parser.add_argument("--architecture", choices=["reader", "vit"], default="reader", help="image tower")
    parser.add_argument("--checkpoint", help="start from this checkpoint instead of random weights")
    parser.add_argument("--stages", default="signal-text,read,align", help="one stage or several, in order")
    parser.add_argument("--parts", help="networks of stage `read` to train, of find,locate,name,trace (default: all)")
    parser.add_argument("--data", nargs="*", default=[], help="Parquet files or folders of training recordings")
    parser.add_argument("--validation", nargs="*", default=[], help="Parquet files or folders to validate on")
    parser.add_argument("--statements", help="CSV of SCP-ECG statements, for English labels")
    parser.add_argument("--simulated", type=int, help="simulated recordings to add (default: 500 without --data)")
    parser.add_argument("--output", type=Path, help="folder of the run (default: runs/<preset>)")
    parser.add_argument("--steps", help="steps of each stage, comma-separated")
    parser.add_argument("--batch-size", help="rows per step and process of each stage, comma-separated")
    parser.add_argument("--learning-rate", help="highest learning rate of each stage, comma-separated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-workers", type=int, default=1, help="processes that make samples, per training process")
    parser.add_argument("--mixed-precision", choices=["no", "bf16"], default="bf16")
    parser.add_argument("--checkpoint-minutes", type=float, default=5.0, help="time between two saved states")
    parser.add_argument("--resume", action="store_true", help="go on where the run in --output was stopped")
    args = parser.parse_args(arguments)
    args.output = args.output or Path("runs") / args.preset
    args.stages = args.stages.split(",")
    unknown = sorted(set(args.stages) - set(DEFAULTS["tiny"]))
    if unknown:
        parser.error(f"unknown stages {unknown}; expected some of {list(DEFAULTS['tiny'])}")
    for name, kind in (("steps", int), ("batch_size", int), ("learning_rate", float)):
        given = getattr(args, name)
        if given is not None:
            values = _numbers(given, kind)
            if len(values) != len(args.stages) or min(values) <= 0:
                option = f"--{name.replace('_', '-')}"
                parser.error(f"{option} needs one positive number per stage ({len(args.stages)}), got {given!r}")
            setattr(args, name, values)
    return args


def _numbers(text: str, kind: Callable[[str], float]) -> list[float]:
    """Numbers between commas; none where one of them is no number."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        return []


def stage_arguments(
    args: argparse.Namespace, index: int, shards: list[str], validation: list[str], processor
) -> StageArguments:
    """Settings of the stage at a place of the list: given ones, else those of the preset."""
    name = args.stages[index]
    steps, batch_size, rate = DEFAULTS[args.preset][name]
    return StageArguments(
        name=name,
        output=args.output,
        shards=shards,
        validation_shards=validation,
        steps=args.steps[index] if args.steps else steps,
        batch_size=args.batch_size[index] if args.batch_size else batch_size,
        learning_rate=args.learning_rate[index] if args.learning_rate else rate,
        processor=processor,
        seed=args.seed,
        num_workers=args.num_workers,
        checkpoint_minutes=args.checkpoint_minutes,
        resume=args.resume,
        options={"parts": args.parts.split(",")} if args.parts else None,
    )


def build(args: argparse.Namespace, shards: list[str]) -> tuple[ECGScanModel, ECGScanProcessor]:
    """Model and processor, new or from a checkpoint."""
    if args.checkpoint:
        try:
            processor = ECGScanProcessor.from_pretrained(args.checkpoint)
            return ECGScanModel.from_pretrained(args.checkpoint, dtype="float32"), processor
        except (OSError, ValueError) as error:
            raise UsageError(
                f"--checkpoint: nothing can be loaded from {args.checkpoint} ({first_line(error)}); give a folder with "
                "a checkpoint, or its name on the Hub"
            ) from error
    config = ECGScanConfig.tiny() if args.preset == "tiny" else ECGScanConfig.base()
    image, text = cast(Any, config.image_config), cast(Any, config.text_config)
    image.architecture = args.architecture
    processor = ECGScanProcessor(
        ECGScanImageProcessor(),
        ECGScanFeatureExtractor(),
        train_tokenizer(texts_of(shards), text.vocab_size, text.max_position_embeddings),
    )
    return ECGScanModel(config), processor


def joined_processes(args: argparse.Namespace) -> Accelerator:
    """The accelerator of all processes that were launched."""
    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision=args.mixed_precision,
        log_with="tensorboard",
        project_dir=str(args.output),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    started = int(os.environ.get("WORLD_SIZE", 1))
    if started != accelerator.num_processes:
        raise SystemExit(
            f"{started} processes were launched, but {accelerator.num_processes} joined: each would train alone; "
            "take a configuration of hub_scripts/configs that fits this machine"
        )
    if accelerator.distributed_type == DistributedType.FSDP and (len(args.stages) > 1 or args.stages == ["read"]):
        raise SystemExit(
            f"sharded training takes one stage, signal-text or align, got {args.stages}: use eight_gpus.yaml"
        )
    return accelerator


def save(model: ECGScanModel, processor: ECGScanProcessor, folder: Path, accelerator: Accelerator) -> None:
    """Gathers the weights of all processes and puts a complete checkpoint in the place of the last one."""
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if accelerator.is_main_process:
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        save_checkpoint(model, processor, new, state=state)
        replace_folder(new, folder)


def training_data(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Shards to train on and to validate on."""
    count = args.simulated if args.simulated is not None else (0 if args.data else 500)
    shards = prepared_shards(
        args.output / "data" / "train", args.data, simulated_count=count, statements=args.statements, seed=args.seed
    )
    validation = prepared_shards(
        args.output / "data" / "validation",
        args.validation,
        simulated_count=0 if args.validation else 60,
        statements=args.statements,
        split="validation",
        shards=1,
        seed=args.seed + 1,
    )
    return shards, validation


def main(arguments: list[str] | None = None) -> Path:
    args = parse(arguments)
    if args.output.exists() and any(args.output.iterdir()) and not args.resume:
        raise SystemExit(f"{args.output} is not empty: add --resume to go on with that run, or take another --output")
    set_seed(args.seed)
    accelerator = joined_processes(args)
    accelerator.print(f"{accelerator.num_processes} process(es), {accelerator.device}, seed {args.seed}")
    with accelerator.main_process_first():
        shards, validation = training_data(args)
    for sentence in (*pages_left_out(args.data), *pages_left_out(args.validation, "validation")):
        accelerator.print(sentence)
    accelerator.init_trackers("tensorboard")
    model, processor = build(args, shards)
    for index, name in enumerate(args.stages):
        stage = import_module(f"hub_scripts.training_{name.replace('-', '_')}").stage
        stage(model, stage_arguments(args, index, shards, validation, processor), accelerator)
        save(model, processor, args.output / "checkpoint", accelerator)
    accelerator.end_training()
    accelerator.print(f"checkpoint: {args.output / 'checkpoint'}")
    return args.output / "checkpoint"


if __name__ == "__main__":
    try:
        main()
    except (UsageError, RecordError) as error:
        raise SystemExit(str(error)) from error
