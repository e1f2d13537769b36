"""What the documents tell a reader to type or to open exists: commands, flags, values, files, pictures."""

import importlib
import pkgutil
import re
import shlex
import subprocess

import pytest
from helpers.project import ROOT, load_script

from zscmr import commands
from zscmr.models import SYSTEMS, system
from zscmr.training.stage1.options import cnn_options
from zscmr.training.stage2.options import constants_class
from zscmr.utils import cli
from zscmr.utils.options import flag, flag_fields

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "data/README.md", "results/joint.md", "zscmr/retrieval/encoders/*/README.md")
    for path in ROOT.glob(pattern)
)
#: folders whose files belong to the repository; data/NAME, runs/0001 and the like are the reader's
OWN_FOLDERS = ("pretrain", "zscmr", "benchmarks", "tests", "docs", "examples", "requirements", "results", "data/splits")


def code(document):
    """Return (shell lines, words in backticks) of a document.

    A shell line is a line of an indented block, continued over a backslash at its end, or a command in backticks.
    """
    text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
    text = re.sub(r"^```python\n.*?^```", "", text, flags=re.S | re.M)  # test_extend.py and test_examples.py run it
    blocks = [line.strip() for line in re.findall(r"^ {4,}(?![-*|#] )(\S.*)$", text, re.M) if "`" not in line]
    inline = [" ".join(words.split()) for words in re.findall(r"`([^`]+)`", text)]
    return blocks + [words for words in inline if words.startswith(("python ", "pip ", "zscmr "))], inline


def parts(line):
    """Yield the words of each command of a shell line; `;`, `&` and `|` end one where no quotes hold them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    words = []
    for word in [*lexer, ";"]:
        if word.strip(";&|"):
            words.append(word)
        else:
            yield words
            words = []


def printed_commands():
    """Yield (document, words) of each command of this project, Python, or pip in the shell lines of the documents."""
    for document in DOCUMENTS:
        for line in code(document)[0]:
            if not re.search(r"\b(python|pip|zscmr) ", line):
                continue
            for words in parts(line):
                while words and "=" in words[0]:  # VARIABLE=value python …
                    words = words[1:]
                if words[:2] in (["python", "-m"], ["pip", "install"]):
                    yield document, words[2:] if words[0] == "python" else words
                elif words[:1] in (["python"], ["zscmr"]):
                    yield document, words[words[0] == "python" :]


COMMANDS = list(printed_commands())
NAMES = [f"{document}: {' '.join(words)[:70]}" for document, words in COMMANDS]


def settings_of(script):
    return load_script(script).Settings


def check_install(document, words):
    """Files of `-r` exist; `zscmr[EXTRA]` is an extra of the project."""
    extras = {file.stem for file in ROOT.glob("requirements/*.txt")} - {"core"}
    for word in words:
        assert not word.endswith(".txt") or (ROOT / word).is_file(), f"{document} names {word}"
        named = re.fullmatch(r"zscmr\[(.*)\]", word)
        assert not named or set(named[1].split(",")) <= extras, f"{document} names {word}"


@pytest.mark.parametrize(("document", "words"), COMMANDS, ids=NAMES)
def test_command_is_one_that_the_script_takes(document, words, capsys):
    """Parsed by the command's own parser, which refuses unknown flags, missing ones and bad values with status 2."""
    name, *flags = words
    if name in ("pip", "pytest", "build", "venv"):
        return check_install(document, flags)
    if name == "zscmr":
        name, *flags = flags
        if name in ("COMMAND", "--help", "--version"):
            return
        assert name in commands.COMMANDS, f"{document}: zscmr {name}"
        module = importlib.import_module(f"zscmr.commands.{name.replace('-', '_')}")
    else:
        assert (ROOT / name).is_file(), f"{document} names {name}"
        module = load_script(name)
    is_trainer = name in ("train", "Unified_XY_triads.py") and "toy" not in flags
    try:
        settings = cli.parse(module.Settings, "", flags, constants_class if is_trainer else None)
    except SystemExit:
        pytest.fail(f"{document}: {' '.join(words)}: {capsys.readouterr().err}")
    if name in ("pretrain", "pretrain/finetune.py"):
        cnn_options(settings)  # refuses flags that contradict each other
    for word in flags:
        assert not word.startswith("data/splits/") or (ROOT / word).is_file(), f"{document} names {word}"


def test_documents_print_commands():
    """Guards the extraction: the first commands of the README and the scripts of every recipe are among them."""
    scripts = {words[0] for _, words in COMMANDS}
    assert {"Unified_XY_triads.py", "knn_eval.py", "paper_tables.py", "search.py", "pretrain/finetune.py"} <= scripts
    assert ("README.md", ["pip", "install", "-r", "requirements.txt"]) in COMMANDS
    assert ("README.md", ["pip", "install", "zscmr[search]"]) in COMMANDS
    assert ("README.md", ["zscmr", "search", "--add", "~/Pictures", "--draw"]) in COMMANDS


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no clone: nothing is ignored")
def test_what_the_readme_s_commands_write_is_ignored():
    """Its folders of pictures, too."""
    folders = ("data/mine", "data/miniature", "runs/mine", "runs/0001", "results/mine", "figures", "photos", "sketches")
    paths = [*(f"{folder}/file" for folder in folders), "mine.json", "search.png", "unseen.txt"]
    done = subprocess.run(["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == paths


def all_flags():
    scripts = [path for folder in (".", "pretrain", "benchmarks", "data") for path in ROOT.glob(f"{folder}/*.py")]
    runnable = [
        path.relative_to(ROOT).as_posix()
        for path in scripts
        if re.search(r"commands\.run|, Settings, __doc__", path.read_text("utf-8"))
    ]
    classes = [settings_of(script) for script in runnable] + [system(name).Settings for name in SYSTEMS]
    return {flag(field.name) for options in classes for field in flag_fields(options)}


COMMON_FLAGS = {"--help", "--debug", "--version"}  # of `zscmr.utils.cli` and `zscmr.commands`


@pytest.mark.parametrize("document", DOCUMENTS)
def test_flag_in_running_text_exists(document):
    named = {word for words in code(document)[1] for word in re.findall(r"(?<!\S)--[a-z][a-z-]*", words)}
    assert named - all_flags() - COMMON_FLAGS == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_file_named_as_the_repository_s_own_exists(document):
    folder = (ROOT / document).parent
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for target in targets:
        assert target.startswith("http") or (folder / target).exists(), f"{document} links to {target}"
    for word in re.findall(r"(?<![\w./-])[\w./*-]+", " ".join(code(document)[1])):
        own = word.startswith(tuple(f"{name}/" for name in OWN_FOLDERS)) or word.endswith(".py")
        here = any(folder.glob(word)) or any(ROOT.glob(word)) if own and not word.startswith("/") else True
        assert here, f"{document} names {word}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_name_in_the_package_exists(document):
    """Dotted names such as `zscmr.models.base.Preset`, modules or what they hold."""
    for name in set(re.findall(r"(?<![\w.'/-])zscmr(?:\.\w+)+", " ".join(code(document)[1]))):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{document} names {name}: {error}")


def test_message_that_is_explained_is_one_of_ours():
    """Whatever stands between the places left open, `…`, is in the source, adjacent string literals joined."""
    source = "\n".join(path.read_text("utf-8") for path in ROOT.rglob("*.py") if "tests" not in path.parts)
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    section = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    messages = re.findall(r"^\| `([^`]*)`", section, re.M)
    assert len(messages) > 10
    for message in messages:
        for piece in message.split("…"):
            assert piece.strip(" '") in source or len(piece) < 6, f"{message}: {piece}"
