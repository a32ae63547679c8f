"""Fixtures that several test files share."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data beside the repository; tests that ask for it skip without them."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the development data are not beside the repository (../shared)")
    return SHARED


@pytest.fixture(scope="session")
def checkpoint(repository: Path) -> Path:
    """The shipped checkpoint; tests that ask for it skip without it."""
    folder = repository / "ecgscan"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("the shipped checkpoint ecgscan/ is not there yet")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A saved checkpoint of the smallest model with random weights and its processor."""
    import torch

    from modeling_ecgscan.configuration_ecgscan import ECGScanConfig
    from modeling_ecgscan.modeling_ecgscan import ECGScanModel
    from processing.feature_extraction_ecgscan import ECGScanFeatureExtractor
    from processing.image_processing_ecgscan import ECGScanImageProcessor
    from processing.processing_ecgscan import ECGScanProcessor
    from processing.tokenization_ecgscan import train_tokenizer

    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    torch.manual_seed(0)
    ECGScanModel(ECGScanConfig.tiny()).save_pretrained(folder)
    tokenizer = train_tokenizer(["sinus rhythm", "atrial fibrillation"], vocab_size=512, max_length=64)
    ECGScanProcessor(ECGScanImageProcessor(), ECGScanFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def saved(tmp_path_factory, tiny) -> Path:
    """The smallest checkpoint as training writes it, code included."""
    from hub_scripts.checkpoint import save_checkpoint
    from modeling_ecgscan.modeling_ecgscan import ECGScanModel
    from processing.processing_ecgscan import ECGScanProcessor

    folder = tmp_path_factory.mktemp("saved") / "checkpoint"
    save_checkpoint(ECGScanModel.from_pretrained(tiny), ECGScanProcessor.from_pretrained(tiny), folder)
    return folder


@pytest.fixture
def ecgscan(monkeypatch, capsys):
    """Runs a command line in this process: `code, out, err = ecgscan("read", path, "--out", folder)`."""
    from hub_scripts.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ecgscan", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
