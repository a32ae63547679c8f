"""Puts together the folder that is a Space: what it runs and the packages that this needs.

python -m spaces_demo.assemble out/space ecgscan    # with that checkpoint
python -m spaces_demo.assemble out/space            # ECGSCAN_MODEL then names one, in the settings of the Space
"""

import shutil
import sys
from pathlib import Path

PACKAGES = ("processing", "modeling_ecgscan", "hub_scripts", "spaces_demo")
_AT_THE_TOP = ("app.py", "README.md", "requirements.txt")
_REPOSITORY = Path(__file__).resolve().parent.parent


def assemble(folder: Path, checkpoint: Path | None = None) -> None:
    """Writes the Space into `folder`, which may not exist yet.

    Args:
        checkpoint: the folder of the model that it starts with.

    Raises:
        FileExistsError: it does.
    """
    skipped = shutil.ignore_patterns("__pycache__", *_AT_THE_TOP[1:])
    for package in PACKAGES:
        shutil.copytree(_REPOSITORY / package, folder / package, ignore=skipped)
    for name in _AT_THE_TOP:
        shutil.copy(_REPOSITORY / "spaces_demo" / name, folder / name)
    shutil.copy(_REPOSITORY / "ecgscan_autoload.py", folder)
    (folder / "examples").mkdir()
    for pattern in ("*.png", "*.jpg"):
        for path in sorted((_REPOSITORY / "examples").glob(pattern)):
            shutil.copy(path, folder / "examples" / path.name)
    if checkpoint is not None:
        shutil.copytree(checkpoint, folder / "ecgscan", ignore=shutil.ignore_patterns("__pycache__"))


if __name__ == "__main__":
    assemble(*map(Path, sys.argv[1:3]))
