"""`ecgscan export`: the networks as ONNX graphs, with the code that reads pages with them and without torch."""

import logging
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from . import console
from .arguments import UsageError
from .loading import load_reader
from .read import prepare_folder

TOLERANCE = 1e-3
PACKAGE = "ecgscan_onnx"
_SOURCE = Path(__file__).resolve().parent.parent
_SIBLING = re.compile(r"^from \.(\w+) import", re.MULTILINE)


class _Graph(nn.Module):
    """A network with the inputs and outputs that an exported graph has."""

    def __init__(self, network: nn.Module, run: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.run(self.network, *inputs)


def _locate(network: Any, picture: Tensor) -> tuple[Tensor, ...]:
    return network(picture.permute(0, 3, 1, 2).float() / 255)


def _name(network: Any, flat: Tensor) -> tuple[Tensor, ...]:
    return (network(flat.permute(0, 3, 1, 2).float()).softmax(1),)


def _trace(network: Any, tiles: Tensor) -> tuple[Tensor, ...]:
    reading = network(tiles.permute(0, 3, 1, 2))
    return reading.logits, reading.presence, reading.movement, reading.speed, reading.gain


def _signal(model: Any, values: Tensor, weight: Tensor, expected: Tensor) -> tuple[Tensor, ...]:
    pooled, scales = model.signal_model.encode(values, weight > 0)
    embedding = functional.normalize(model.image_projection(pooled), dim=-1)
    logits = pooled[:, :0] if model.findings_head is None else model.findings_head(pooled)
    return model.signal_model.complete(values, weight, expected, scales), embedding, logits


def _text(model: Any, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
    hidden = model.text_model(input_ids, attention_mask)
    return (functional.normalize(model.text_projection(hidden), dim=-1),)


# name, network, inputs with their free axes, names of the outputs
_Example = tuple[str, _Graph, dict[str, tuple[Tensor, dict[int, Any]]], list[str]]


def _picture(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def _examples(model: Any, batch: int) -> Iterator[_Example]:
    """Every graph with inputs in batches of a size."""
    from modeling_ecgscan.terms_ecgscan import TILE_CHANNELS, TILE_HEIGHT, TILE_WIDTH
    from modeling_ecgscan.views_ecgscan import CLOSE_UP, WHOLE

    size = torch.export.Dim("batch", min=1, max=1024)
    rows, columns = (torch.export.Dim(name, min=2, max=1024) for name in ("rows", "columns"))
    tower, seed = model.image_model, torch.Generator().manual_seed(0)
    for name, network, shape in (("find", tower.finder, WHOLE), ("locate", tower.locator, CLOSE_UP)):
        yield name, _Graph(network, _locate), {"picture": (_picture(batch, *shape, 3), {0: size})}, ["maps", "page"]
    flat = (_picture(batch, 8 * 20, 8 * 30, 3), {0: size, 1: 8 * rows, 2: 8 * columns})
    yield "name", _Graph(tower.namer, _name), {"flat": flat}, ["shares"]
    tiles = (torch.randn(batch, TILE_HEIGHT, TILE_WIDTH, TILE_CHANNELS, generator=seed), {0: size})
    outputs = ["logits", "presence", "movement", "speed", "gain"]
    yield "trace", _Graph(tower.reader, _trace), {"tiles": tiles}, outputs
    leads = (batch, len(model.config.lead_names), model.config.signal_config.samples)
    values = (torch.randn(*leads, generator=seed), {0: size})
    weight = ((torch.rand(*leads, generator=seed) - 0.5).clamp_min(0), {0: size})
    expected = torch.where(weight[0] > 0.25, torch.nan, torch.randn(*leads, generator=seed))
    inputs = {"values": values, "weight": weight, "expected": (expected, {0: size})}
    yield "signal", _Graph(model, _signal), inputs, ["completed", "embedding", "findings_logits"]
    length = torch.export.Dim("length", min=2, max=model.config.text_config.max_position_embeddings)
    ids = torch.randint(1, model.config.text_config.vocab_size, (batch, 12), generator=seed)
    mask = (torch.arange(12) < 10).long().expand(batch, -1).contiguous()
    axes = {0: size, 1: length}
    yield "text", _Graph(model, _text), {"input_ids": (ids, axes), "attention_mask": (mask, axes)}, ["text_embedding"]


def export_graphs(model: Any, out: Path) -> dict[str, float]:
    """Writes one graph after another; largest difference to torch of each, in a batch of another size.

    Raises:
        UsageError: a graph differs from its network by more than `TOLERANCE`.
    """
    import onnxruntime

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    differences = {}
    others = {name: inputs for name, _, inputs, _ in _examples(model, 3)}
    with console.progress_bar("networks") as bar:
        for name, graph, inputs, outputs in bar.track(list(_examples(model, 2))):
            graph.eval()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.onnx.export(
                    graph,
                    tuple(value for value, _ in inputs.values()),
                    dynamo=True,
                    input_names=list(inputs),
                    output_names=outputs,
                    dynamic_shapes=(tuple(axes for _, axes in inputs.values()),),
                    verbose=False,
                )
            assert program is not None
            program.save(str(out / f"{name}.onnx"))
            session = onnxruntime.InferenceSession(str(out / f"{name}.onnx"), providers=["CPUExecutionProvider"])
            other = [value for value, _ in others[name].values()]
            found = session.run(None, {key: value.numpy() for key, value in zip(inputs, other, strict=True)})
            with torch.no_grad():
                truth = [part.numpy() for part in graph(*other)]
            worst = max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(truth, found, strict=True))
            if not worst <= TOLERANCE:
                raise UsageError(f"{name}.onnx differs from torch by {worst:.2g}, expected at most {TOLERANCE:g}")
            differences[name] = worst
    return differences


def copy_code(out: Path) -> None:
    """The modules that reading needs, as a package beside the graphs, and the script that uses them."""
    package = out / PACKAGE
    package.mkdir(exist_ok=True)
    waiting, copied = ["onnx_ecgscan"], set()
    while waiting:
        name = waiting.pop()
        if name not in copied:
            copied.add(name)
            source = _SOURCE / "modeling_ecgscan" / f"{name}.py"
            shutil.copyfile(source, package / source.name)
            waiting += _SIBLING.findall(source.read_text(encoding="utf-8"))
    (package / "__init__.py").write_text('"""Reads pages of ECGs without torch."""\n', encoding="utf-8")
    shutil.copyfile(_SOURCE / "hub_scripts" / "onnx_script.py", out / "read_page.py")


def export_command(out: Path, checkpoint: str | None) -> int:
    """Exports a checkpoint; returns the exit code."""
    lacking = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if lacking:
        raise UsageError(f'{", ".join(lacking)} not installed; pip install "ecgscan[export]"')
    reader = load_reader(checkpoint)
    if not reader.model.reads:
        raise UsageError(f"{reader.name}: its image tower is a 'vit', expected a 'reader'; export one that reads pages")
    prepare_folder(out)
    model = reader.model.float().cpu()
    differences = export_graphs(model, out)
    model.config.to_json_file(out / "config.json", use_diff=False)
    reader.processor.tokenizer.save_pretrained(out)
    copy_code(out)
    for name, difference in differences.items():
        size = (out / f"{name}.onnx").stat().st_size / 1e6
        console.out.print(f"{name}.onnx  {size:.1f} MB, at most {difference:.1g} from torch")
    console.out.print(f"python {out / 'read_page.py'} PAGE.jpg reads a page with ONNX Runtime alone")
    return 0
