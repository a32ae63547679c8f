"""The repository keeps its own promises: files, imports, pins, names and what the README says."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PACKAGES = ("processing", "modeling_ecgscan", "hub_scripts", "spaces_demo")
FLAT_PACKAGES = ("processing", "modeling_ecgscan")
COMMANDS = {
    *("read", "render", "embed", "classify", "evaluate", "benchmark", "prepare", "demo", "finetune", "push"),
}


def _imports(path):
    """(level, module) of every import statement of a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield 0, name.name


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "pyproject.toml",
        "constraints.txt",
        "Makefile",
        "LICENSE",
        "CITATION.cff",
        "CHANGELOG.md",
        ".ci/run",
        "train.py",
    ],
)
def test_the_top_level_is_complete(repository, name):
    assert (repository / name).stat().st_size > 0


@pytest.mark.parametrize("package", FLAT_PACKAGES)
def test_what_a_checkpoint_carries_imports_siblings_only(repository, package):
    forbidden = {"hub_scripts", "train", "spaces_demo", *FLAT_PACKAGES}
    for path in (repository / package).glob("*.py"):
        for level, module in _imports(path):
            assert not (level == 0 and module.split(".")[0] in forbidden), f"{path.name} imports {module}"
            assert level < 2, f"{path.name} imports from above its folder"
            if level and path.name.endswith("_ecgscan.py"):
                assert module, f"{path.name}: the Hub copies only what `from .sibling import X` names"
                assert "." not in module, f"{path.name} imports from the nested {module}"


@pytest.mark.parametrize("package", FLAT_PACKAGES)
def test_flat_packages_have_no_folders(repository, package):
    assert not [path for path in (repository / package).iterdir() if path.is_dir() and path.name != "__pycache__"]


def test_every_dependency_is_bounded_and_pinned_within_its_bounds(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").split()
    pins = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *(text for extra in extras.values() for text in extra)]:
        requirement = Requirement(text)
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">=", "<"}, text
        pinned = pins[requirement.name.lower().replace("_", "-")]
        assert Version(pinned) in requirement.specifier, text


def test_every_imported_distribution_is_declared(repository):
    import_names = {
        "cv2": "opencv-python-headless",
        "PIL": "pillow",
        "pillow_heif": "pillow-heif",
        "sklearn": "scikit-learn",
    }
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {Requirement(text).name.lower().replace("_", "-") for text in project["dependencies"]}
    # a module or package named after an extra may import what the extra brings
    brought = {extra: {Requirement(text).name for text in texts} for extra, texts in extras.items()}
    for package in PACKAGES:
        for path in (repository / package).glob("*.py"):
            first = path.stem.split("_")[0]
            extra = "demo" if package == "spaces_demo" else {"onnx": "export"}.get(first, first)
            for level, module in _imports(path):
                top = module.split(".")[0]
                if level or top in sys.stdlib_module_names or top in (*PACKAGES, "ecgscan_autoload", "ecgscan_onnx"):
                    continue
                name = import_names.get(top, top).lower().replace("_", "-")
                assert name in declared | brought.get(extra, set()), f"{path.name} imports {top}"
    declared |= brought["evaluate"]
    for path in (repository / "hub_scripts" / "metrics").rglob("*.py"):
        for _, module in _imports(path):
            top = module.split(".")[0]
            assert top in sys.stdlib_module_names or top in (*PACKAGES, *declared), f"{path.name} imports {top}"


def test_lead_order_is_the_same_in_both_packages():
    from modeling_ecgscan.configuration_ecgscan import LEAD_NAMES
    from processing.leads import LEADS

    assert list(LEADS) == list(LEAD_NAMES)


def test_the_makefile_has_its_targets(repository):
    text = (repository / "Makefile").read_text(encoding="utf-8")
    for target in ("setup", "demo", "test", "lint", "train-smoke"):
        assert re.search(rf"^{target}:", text, re.M), target


def test_the_readme_names_only_commands_that_exist(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^ecgscan ([a-z]+)", text, re.M))
    assert named == COMMANDS


def test_the_readme_shows_files_that_exist(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        if not link.startswith("ecgscan/"):
            assert (repository / link).is_file(), link


def test_the_python_of_the_readme_runs(repository, checkpoint):
    text = (repository / "README.md").read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, timeout=300)


@pytest.mark.parametrize("page", ["reading", "embeddings"])
def test_the_python_of_the_documentation_runs(page, repository, checkpoint, tmp_path):
    text = (repository / "docs" / f"{page}.md").read_text(encoding="utf-8")
    codes = re.findall(r"```python\n(.*?)```", text, re.S)
    assert codes
    for code in codes:
        code = code.replace('"out"', repr(str(tmp_path)))
        subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, timeout=300)


def test_the_documentation_names_files_that_exist(repository):
    for page in (repository / "docs").glob("*.md"):
        for link in re.findall(r"\]\(((?!http)[^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).is_file(), f"{page.name}: {link}"


def test_no_file_is_longer_than_fits_in_a_head(repository):
    for package in (*PACKAGES, "tests"):
        for path in (repository / package).glob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 450, path.name


@pytest.mark.parametrize(
    "command", ["", "read", "render", "embed", "demo", "benchmark", "benchmark reading", "push", "push model", "export"]
)
def test_help_is_quick_to_import_and_says_what_the_command_does(command):
    code = "import sys; from hub_scripts.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    run = subprocess.run(
        [sys.executable, "-c", code, *command.split(), "--help"], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert "Usage" in run.stdout


def test_the_checkpoint_carries_the_code_of_this_repository(repository, checkpoint):
    copies = sorted(checkpoint.glob("*.py"))
    assert copies
    for copy in copies:
        sources = [repository / package / copy.name for package in FLAT_PACKAGES]
        source = next(path for path in sources if path.exists())
        same = copy.read_text(encoding="utf-8") == source.read_text(encoding="utf-8")
        assert same, f"{copy.name} differs from {source.parent.name}: save the checkpoint again"


def test_what_lies_between_the_networks_of_reading_needs_no_torch():
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None)\n"
        "from modeling_ecgscan.page_reading_ecgscan import PageReading"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
