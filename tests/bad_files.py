"""Files that give no page: how to make each, and what its message must say."""

from pathlib import Path

import numpy as np
from PIL import Image


def _encrypted_pdf(path: Path) -> None:
    """The least PDF whose encryption dictionary asks for a password that nobody has."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] >>",
        b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -44 /O <" + b"ab" * 32 + b"> /U <" + b"cd" * 32 + b"> >>",
    ]
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(body)
    body += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer\n<< /Size 5 /Root 1 0 R /Encrypt 4 0 R /ID [<00><00>] >>\nstartxref\n%d\n%%%%EOF\n" % start
    path.write_bytes(body)


def _truncated(path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    whole = path.with_name(f"whole{suffix}")
    Image.fromarray(noise).save(whole)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


BAD_FILES = {
    "text.jpg": (lambda path: path.write_text("not an image"), "not an image"),
    "empty.png": (lambda path: path.touch(), "0 bytes"),
    "cut.jpg": (lambda path: _truncated(path, ".jpg"), "truncated"),
    "cut.png": (lambda path: _truncated(path, ".png"), "truncated"),
    "cut.tif": (lambda path: _truncated(path, ".tif"), "truncated"),
    "cut.pdf": (lambda path: _truncated(path, ".pdf"), "truncated"),
    "dot.png": (lambda path: Image.new("RGB", (1, 1)).save(path), "1 x 1 pixels"),
    "huge.png": (lambda path: Image.new("1", (30000, 30000)).save(path), "30000 x 30000"),
    "locked.pdf": (_encrypted_pdf, "encrypted"),
}
