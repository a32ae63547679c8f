"""Any page source opens as upright 8-bit RGB, or says in one sentence why not."""

from pathlib import Path

import cv2
import numpy as np
import pypdfium2 as pdfium
import pytest
from bad_files import BAD_FILES
from PIL import Image

from processing.pages import PDF_DPI, PageError, find_pages, open_page, open_pages


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A picture without symmetry (60, 90, 3): its corners differ in brightness and colour."""
    y, x = np.mgrid[0:60, 0:90]
    return np.stack([x * 255 // 89, y * 255 // 59, (x + y) * 255 // 148], axis=-1).astype(np.uint8)


def _opened(image: Image.Image, path: Path, **options) -> np.ndarray:
    image.save(path, **options)
    return open_page(path).image


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.jpg", "a.heic"])
def test_usual_formats_open_with_their_colours(tmp_path, pixels, name):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    options = {"lossless": True} if name == "a.webp" else {"quality": 98} if name[-3:] in ("jpg", "eic") else {}
    opened = _opened(Image.fromarray(pixels), tmp_path / name, **options)
    assert opened.dtype == np.uint8
    assert opened.shape == pixels.shape
    assert np.abs(opened.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_tag_is_obeyed(tmp_path, pixels, orientation):
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels, 1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = _opened(Image.fromarray(pixels), tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(opened, turned)


def test_a_damaged_orientation_tag_does_not_cost_the_page(tmp_path, pixels):
    opened = _opened(
        Image.fromarray(pixels), tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01"
    )
    assert opened.shape == pixels.shape


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_deep_greys_keep_their_tones_whatever_range_they_use(tmp_path, pixels, bits, name):
    grey = pixels[..., 0].astype(np.uint16)
    stored = (grey.astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    opened = _opened(Image.fromarray(stored), tmp_path / name)
    assert np.abs(opened.astype(int) - grey[..., None]).max() <= 1


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_colours_of_sixteen_bits_keep_their_tones(tmp_path, pixels, name):
    cv2.imwrite(str(tmp_path / name), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)
    opened = open_page(tmp_path / name).image
    assert np.abs(opened.astype(int) - pixels).max() <= 1


def test_cmyk_palette_bilevel_and_float_become_rgb(tmp_path, pixels):
    image = Image.fromarray(pixels)
    for name, converted in {
        "cmyk.jpg": image.convert("CMYK"),
        "palette.png": image.quantize(64),
        "bilevel.tif": image.convert("1"),
        "float.tif": Image.fromarray(pixels[..., 0].astype(np.float32) / 255),
    }.items():
        opened = _opened(converted, tmp_path / name)
        assert opened.shape == pixels.shape, name
        assert abs(opened[..., 0].mean() - pixels[..., 0].mean()) < 12, name


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(tmp_path, pixels, mode):
    image = Image.fromarray(pixels).convert(mode)
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[:, 45:] = 255
    image.putalpha(Image.fromarray(alpha))
    opened = _opened(image, tmp_path / "alpha.png")
    assert (opened[:, :45] == 255).all()
    assert opened[:, 45:].mean() < 250


def test_a_palette_with_a_transparent_entry_is_white_there(tmp_path):
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.paste(1, (20, 0, 40, 40))
    opened = _opened(image, tmp_path / "p.png", transparency=0)
    assert (opened[:, :20] == 255).all()
    assert (opened[:, 20:] == (200, 0, 0)).all()


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_frame_is_read_and_said_so(tmp_path, pixels, name):
    Image.fromarray(pixels).save(tmp_path / name, save_all=True, append_images=[Image.fromarray(255 - pixels)])
    (page,) = open_pages(tmp_path / name)
    assert page.note == "animated picture: only the first of 2 frames was read"
    assert np.abs(page.image.astype(int) - pixels).mean() < 12


def test_every_page_of_a_tiff_is_given(tmp_path, pixels):
    frames = [Image.fromarray(np.roll(pixels, 10 * shift, axis=1)) for shift in range(3)]
    frames[0].save(tmp_path / "m.tif", save_all=True, append_images=frames[1:])
    pages = list(open_pages(tmp_path / "m.tif"))
    assert [(page.page, page.n_pages) for page in pages] == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(pages[2].image, np.asarray(frames[2]))


def test_every_page_of_a_pdf_is_given_at_its_resolution(tmp_path, pixels):
    image = Image.fromarray(pixels).resize((1169, 827))
    image.save(tmp_path / "m.pdf", save_all=True, append_images=[image], resolution=100.0)
    pages = list(open_pages(tmp_path / "m.pdf"))
    assert [(page.page, page.n_pages) for page in pages] == [(1, 2), (2, 2)]
    assert pages[0].image.shape[1] == pytest.approx(11.69 * PDF_DPI, abs=2)


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_sentence_with_its_name_and_a_way_out(tmp_path, name):
    make, expected = BAD_FILES[name]
    make(tmp_path / name)
    with pytest.raises(PageError) as caught:
        list(open_pages(tmp_path / name))
    message = str(caught.value)
    assert expected in message
    assert name in message
    assert "\n" not in message
    assert ";" in message


def test_a_huge_jpeg_is_decoded_at_reduced_size(tmp_path):
    Image.new("L", (16000, 16000), 255).save(tmp_path / "huge.jpg", quality=30)
    page = open_page(tmp_path / "huge.jpg")
    assert 4000 <= max(page.image.shape) <= 8000


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(PageError, match="No such file"):
        open_page(tmp_path / "nowhere.png")


def test_a_page_beyond_the_last_is_refused(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(PageError, match="page 2 was asked for, the file has 1"):
        open_page(tmp_path / "a.png", 2)


def test_folders_are_expanded_in_order_without_hidden_foreign_and_result_files(tmp_path, pixels):
    for name in ("b.JPG", "a.png", "sub/c.tif", "out/a.png", ".hidden/d.png", ".e.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_pages([tmp_path], exclude=tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.png", "b.JPG", "sub/c.tif"]


def test_a_folder_without_pages_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PageError, match="holds no page"):
        find_pages([tmp_path])


def test_a_turned_pdf_page_opens_as_it_is_shown(tmp_path):
    document = pdfium.PdfDocument.new()
    page = document.new_page(300, 200)
    page.set_rotation(90)
    document.save(str(tmp_path / "turned.pdf"))
    height, width = open_page(tmp_path / "turned.pdf").image.shape[:2]
    assert height > width
