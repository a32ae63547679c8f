"""Image processor, feature extractor, tokenizer, and the processor over them."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoProcessor, AutoTokenizer

from processing.feature_extraction_ecgscan import ECGScanFeatureExtractor
from processing.image_processing_ecgscan import ECGScanImageProcessor, to_rgb
from processing.leads import LEADS
from processing.simulator import simulate
from processing.tokenization_ecgscan import train_tokenizer

COLOURS = np.array([[[255, 255, 255], [200, 30, 40], [0, 0, 0], [10, 120, 250], [9, 9, 9]]], np.uint8).repeat(3, 0)


@pytest.fixture(scope="module")
def images() -> ECGScanImageProcessor:
    return ECGScanImageProcessor()


@pytest.fixture(scope="module")
def signals() -> ECGScanFeatureExtractor:
    return ECGScanFeatureExtractor()


def test_pages_keep_their_pixels_and_are_padded_with_white(images):
    small, large = COLOURS, np.zeros((40, 70, 3), np.uint8)
    batch = images([small, large], return_tensors="pt")
    assert batch["pixel_values"].shape == (2, 3, 64, 96)
    assert batch["pixel_values"].dtype == torch.uint8
    assert batch["page_size"].tolist() == [[3, 5], [40, 70]]
    assert (batch["pixel_values"][0, :, :3, :5].permute(1, 2, 0).numpy() == small).all()
    assert (batch["pixel_values"][0, :, 3:] == 255).all()


def test_large_pages_are_reduced_and_small_ones_never_enlarged(images):
    assert images(Image.new("L", (5000, 1000)), return_tensors="np")["page_size"].tolist() == [[800, 4000]]
    assert images(Image.new("L", (1, 1)), return_tensors="np")["page_size"].tolist() == [[1, 1]]
    assert ECGScanImageProcessor(longest_edge=100)(Image.new("L", (200, 50)))["page_size"].tolist() == [[25, 100]]


def test_an_rgb_array_is_taken_as_the_picture_it_is():
    array = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    processor = ECGScanImageProcessor()
    first, second = (processor([page], return_tensors="np") for page in (array, Image.fromarray(array)))
    assert np.array_equal(first["pixel_values"], second["pixel_values"])
    assert (first["pixel_values"][0, :, 30:] == 255).all() and (first["pixel_values"][0, :, :, 50:] == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "RGBA", "LA", "YCbCr", "I;16", "I", "F", "HSV"])
def test_every_mode_becomes_rgb(mode):
    grey = np.array([[0, 128, 255]], np.uint8).repeat(4, 0)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode in ("I", "F", "P"):
        image = Image.fromarray(grey).convert(mode)
    elif mode == "HSV":
        image = Image.fromarray(np.stack([0 * grey, 0 * grey, grey], -1), "HSV")
    else:
        image = Image.fromarray(grey).convert("RGB").convert(mode)
    pixels = np.asarray(to_rgb(image)).astype(int)
    assert pixels.shape == (4, 3, 3)
    expected = np.array([0, 255, 255] if mode == "1" else [0, 128, 255])
    difference = np.abs(pixels - expected[None, :, None])
    assert difference[:, [0, 2]].max() <= 3
    assert mode == "1" or difference.max() <= 3


def test_what_is_transparent_becomes_white():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert np.asarray(to_rgb(image)).tolist() == [[[255, 0, 0], [255, 255, 255]]]
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([0, 0, 0])
    palette.info["transparency"] = 0
    assert np.asarray(to_rgb(palette)).tolist() == [[[255, 255, 255]]]


def test_exif_orientation_turns_the_page_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    file = BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG", exif=exif)
    upright = np.asarray(to_rgb(Image.open(file)))
    assert upright.shape == (5, 3, 3)
    assert (upright == np.rot90(COLOURS, -1)).all()


@pytest.mark.parametrize(
    "array",
    [
        COLOURS,
        COLOURS.transpose(2, 0, 1),
        COLOURS.astype(np.float32) / 255,
        COLOURS.astype(np.uint16) * 257,
        torch.from_numpy(COLOURS.transpose(2, 0, 1).copy()),
    ],
    ids=["HWC", "CHW", "float", "16 bit", "tensor"],
)
def test_arrays_of_any_kind_give_the_same_page(array):
    assert (np.asarray(to_rgb(array)) == COLOURS).all()


@pytest.mark.parametrize("array", [np.zeros(5), np.zeros((5, 6, 2)), np.zeros((0, 5, 3))])
def test_what_is_no_page_is_refused_with_its_shape(array):
    with pytest.raises(ValueError, match=r"got shape \("):
        to_rgb(array)


@pytest.mark.parametrize(("units", "factor"), [("mV", 1.0), ("uV", 1e3), ("µV", 1e3), ("V", 1e-3)])
def test_units_become_millivolts(signals, units, factor):
    recording = simulate(1)
    batch = signals(recording.signal * factor, sampling_rate=500, units=units, return_tensors="np")
    assert np.abs(batch["signal_values"][0] - recording.signal).max() < 1e-4
    assert batch["signal_mask"].all()


@pytest.mark.parametrize("rate", [100.0, 250.0, 257.0, 1000.0])
def test_rates_become_500_hertz(signals, rate):
    samples = int(round(10 * rate))
    wave = np.sin(2 * np.pi * 3.0 * np.arange(samples) / rate)
    values = signals(np.tile(wave, (12, 1)), sampling_rate=rate)["signal_values"][0]
    expected = np.sin(2 * np.pi * 3.0 * np.arange(5000) / 500)
    assert values.shape == (12, 5000)
    assert np.abs(values - expected)[:, 100:-100].max() < 0.01


def test_leads_are_joined_by_name_and_missing_ones_masked(signals):
    values = np.stack([np.full(5000, 0.1), np.full(5000, 0.2), np.full(5000, 0.3)])
    batch = signals(values, sampling_rate=500, lead_names=["avf", "V6", "lead II"])
    known = batch["signal_mask"][0].all(1)
    assert [lead for lead, present in zip(LEADS, known, strict=True) if present] == ["II", "aVF", "V6"]
    assert batch["signal_values"][0, :, 0].tolist() == pytest.approx([0, 0.3, 0, 0, 0, 0.1, 0, 0, 0, 0, 0, 0.2])
    assert not batch["signal_mask"][0, ~known].any()


def test_short_long_and_unknown_parts_are_masked_or_cut(signals):
    short = np.ones((12, 1000))
    short[3, 200:300] = np.nan
    batch = signals([short, np.ones((12, 9000))], sampling_rate=250)
    assert batch["signal_values"].shape == (2, 12, 5000)
    assert batch["signal_mask"][0].sum(1).tolist() == [2000] * 3 + [1800] + [2000] * 8
    assert batch["signal_mask"][1].all()
    assert np.isfinite(batch["signal_values"]).all()


def test_a_recording_brings_its_own_rate(signals):
    recording = simulate(2, sampling_rate=250.0)
    both = signals([recording, recording.signal], sampling_rate=250)
    assert (both["signal_values"][0] == both["signal_values"][1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signals": np.zeros((12, 10))}, "sampling_rate in hertz expected"),
        ({"signals": np.zeros((8, 10)), "sampling_rate": 500}, "12 leads expected"),
        ({"signals": np.zeros((2, 10)), "sampling_rate": 500, "lead_names": ["I"]}, "2 leads but 1 lead_names"),
        ({"signals": np.zeros((1, 10)), "sampling_rate": 500, "lead_names": ["X"]}, "none of"),
        ({"signals": np.zeros(10), "sampling_rate": 500}, "array \\(leads, samples\\)"),
        ({"signals": np.full((12, 10), 900.0), "sampling_rate": 500}, "units='uV'"),
        ({"signals": np.zeros((12, 10)), "sampling_rate": 500, "units": "adu"}, "units 'mV', 'uV' or 'V'"),
    ],
)
def test_wrong_signals_are_refused_with_a_way_out(signals, arguments, message):
    with pytest.raises(ValueError, match=message):
        signals(**arguments)


def test_the_tokenizer_knows_its_words_without_case_or_accents():
    tokenizer = train_tokenizer(["Ischämie anterior", "sinus rhythm"] * 3, vocab_size=200, max_length=16)
    ids = tokenizer(["ISCHÄMIE", "ischamie"])["input_ids"]
    assert ids[0] == ids[1]
    assert tokenizer.unk_token_id not in ids[0]
    assert tokenizer.pad_token_id == 0
    assert len(tokenizer("sinus " * 50, truncation=True)["input_ids"]) == 16


def test_the_processor_takes_any_subset_and_survives_saving(tiny):
    processor = AutoProcessor.from_pretrained(tiny)
    recording = simulate(3)
    batch = processor(images=COLOURS, text="sinus rhythm", signals=recording, return_tensors="pt")
    assert set(batch) == set(processor.model_input_names)
    assert batch["signal_values"].shape == (1, 12, 5000)
    assert set(processor(text=["a", "b"])) == {"input_ids", "attention_mask"}
    with pytest.raises(ValueError, match="give images, text or signals"):
        processor()


def test_each_part_loads_by_its_own_auto_class(tiny):
    assert type(AutoImageProcessor.from_pretrained(tiny)).__name__ == "ECGScanImageProcessor"
    assert type(AutoFeatureExtractor.from_pretrained(tiny)).__name__ == "ECGScanFeatureExtractor"
    assert AutoTokenizer.from_pretrained(tiny)("sinus rhythm")["input_ids"]


def test_options_of_the_image_processor_are_saved(tmp_path):
    ECGScanImageProcessor(longest_edge=1234).save_pretrained(tmp_path)
    assert ECGScanImageProcessor.from_pretrained(tmp_path).longest_edge == 1234
