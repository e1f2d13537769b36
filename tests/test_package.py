"""The package as it is built: its requirements, its files, its version, its command."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import ROOT

import zscmr
from zscmr import commands

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings this one there
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["tool"]["setuptools"]["dynamic"]["optional-dependencies"]

#: imports of the package whose distribution has another name
DISTRIBUTIONS = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "keras_hub": "keras-hub",
    "pillow_heif": "pillow-heif",
}
#: used where it happens to be installed
INCIDENTAL = {"tensorboard"}


def lines(file, seen=()):
    """The requirements of a file, those of included files too."""
    assert file not in seen, f"{file} includes itself"
    failures = []
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        line = line.partition(" #")[0].strip()
        if line.startswith("-r "):
            included = Path(file).parent / line.removeprefix("-r ").strip()
            failures += lines(included.as_posix(), (*seen, file))
        elif line and not line.startswith("#"):
            failures.append(line)
    return failures


def distribution(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower()


def test_each_requirement_stands_once():
    names = [distribution(line) for file in ROOT.glob("requirements/*.txt") for line in lines(file)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("file", sorted(ROOT.glob("requirements*.txt")), ids=lambda file: file.name)
def test_requirements_file_agrees_with_the_extra_of_its_name(file):
    """`pip install -r requirements-NAME.txt` brings nothing that `zscmr[NAME]` would not, and includes only."""
    assert all(line.startswith("-r ") for line in file.read_text(encoding="utf-8").splitlines())
    name = file.stem.removeprefix("requirements").removeprefix("-") or "train"
    core = PROJECT["tool"]["setuptools"]["dynamic"]["dependencies"]["file"]
    declared = {line for part in core + EXTRAS[name]["file"] for line in lines(part)}
    assert set(lines(file)) <= declared


def test_extras_have_a_requirements_file():
    assert {f"requirements-{name}.txt" for name in EXTRAS if name != "train"} == {
        file.name for file in ROOT.glob("requirements-*.txt")
    }


def imported(tree):
    """Top-level names of the modules that a syntax tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def test_whatever_the_package_imports_is_declared():
    declared = {distribution(line) for file in ROOT.glob("requirements/*.txt") for line in lines(file)}
    for path in ROOT.glob("zscmr/**/*.py"):
        foreign = set(imported(ast.parse(path.read_text(encoding="utf-8")))) - set(sys.stdlib_module_names)
        missing = {DISTRIBUTIONS.get(name, name) for name in foreign - {"zscmr"}} - declared - INCIDENTAL
        assert not missing, f"{path.relative_to(ROOT)} imports {missing}"


def test_files_read_at_run_time_are_packaged():
    """Every file below zscmr/ that is no module is one of `package-data`, and every pattern there has a file."""
    patterns = {
        ROOT / package.replace(".", "/"): globs
        for package, globs in PROJECT["tool"]["setuptools"]["package-data"].items()
    }
    packaged = {file for folder, globs in patterns.items() for pattern in globs for file in folder.glob(pattern)}
    files = {path for path in ROOT.glob("zscmr/**/*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert files == {path for path in packaged if path.is_file()}


def test_every_folder_with_modules_is_a_package():
    """Setuptools leaves folders without `__init__.py` out of the wheel."""
    assert all((path.parent / "__init__.py").is_file() for path in ROOT.glob("zscmr/**/*.py"))


def test_version_stands_in_one_place():
    assert "version" in PROJECT["project"]["dynamic"]
    changes = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)[1]
    cited = re.search(r"^version: ([\d.]+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)[1]
    assert changes == cited == zscmr.__version__


def test_command_prints_its_version_and_its_commands(capsys):
    commands.main(["--version"])
    assert capsys.readouterr().out == f"zscmr {zscmr.__version__}\n"
    commands.main([])
    listed = re.findall(r"^  (\S+)", capsys.readouterr().out, re.M)
    assert listed == list(commands.COMMANDS)
    with pytest.raises(SystemExit) as exit:
        commands.main(["sparch"])
    assert exit.value.code == 2 and capsys.readouterr().err.startswith("zscmr: sparch: expected any of miniature, ")


def test_every_module_of_commands_is_a_command():
    modules = {path.stem for path in ROOT.glob("zscmr/commands/*.py")} - {"__init__"}
    assert modules == {name.replace("-", "_") for name in commands.COMMANDS}


def test_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "zscmr", "evaluate", "nowhere.mat"], cwd=ROOT, capture_output=True)
    assert done.returncode == 2 and done.stderr.decode().startswith("zscmr evaluate: nowhere.mat")


def test_import_starts_no_heavy_library():
    """`import zscmr` loads what it needs at the first use."""
    words = (
        "import sys, zscmr; print([m for m in ('numpy', 'tensorflow', 'lancedb', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
