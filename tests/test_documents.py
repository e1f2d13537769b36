"""What the documents tell a reader to type or to open exists: scripts, flags, values, files, pictures."""

import re
import shlex

import pytest
from helpers.project import ROOT, load_script

from zscmr.models import SYSTEMS, system
from zscmr.training.stage1.options import cnn_options
from zscmr.training.stage2.options import constants_class
from zscmr.utils import cli
from zscmr.utils.options import flag, flag_fields

DOCUMENTS = (
    "README.md",
    "FIDELITY.md",
    "data/README.md",
    *(
        f"docs/{name}.md"
        for name in ("api", "evaluation", "extend", "large", "results", "scale", "search", "siblings", "trials")
    ),
    "docs/troubleshooting.md",
    "results/joint.md",
    "zscmr/retrieval/encoders/lite0/README.md",
)
#: folders whose files belong to the repository; data/NAME, runs/0001 and the like are the reader's
OWN_FOLDERS = ("pretrain", "zscmr", "benchmarks", "tests", "docs", "results", "data/splits")


def code(document):
    """(shell lines, words in backticks) of a document; a shell line is what an indented block holds, or a whole
    command in backticks, continued over a backslash at its end."""
    text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
    text = re.sub(r"^```python\n.*?^```", "", text, flags=re.S | re.M)  # tests/test_extend.py runs it
    blocks = [line.strip() for line in re.findall(r"^ {4,}(?![-*|#] )(\S.*)$", text, re.M) if "`" not in line]
    inline = [" ".join(words.split()) for words in re.findall(r"`([^`]+)`", text)]
    return blocks + [words for words in inline if words.startswith("python ")], inline


def commands():
    """(document, words of one `python …` command) of all shell lines."""
    for document in DOCUMENTS:
        for line in code(document)[0]:
            for part in re.split(r"&&|;|\|", line):
                if "python " not in part:
                    continue
                words = shlex.split(part, comments=True)
                while words and "=" in words[0]:  # VARIABLE=value python …
                    words = words[1:]
                if words[:1] == ["python"]:
                    yield document, words[1:]


COMMANDS = list(commands())
NAMES = [f"{document}: {' '.join(words)[:70]}" for document, words in COMMANDS]


def settings_of(script):
    return load_script(script).Settings


@pytest.mark.parametrize(("document", "words"), COMMANDS, ids=NAMES)
def test_command_is_one_that_the_script_takes(document, words, capsys):
    """Parsed by the script's own parser: unknown flags, missing ones, bad values and choices end it with status 2."""
    if words[0] == "-m":
        assert words[1] in ("pip", "pytest") and all((ROOT / word).is_file() for word in words if word.endswith(".txt"))
        return
    assert (ROOT / words[0]).is_file(), f"{document} names {words[0]}"
    try:
        constants_of = constants_class if words[0] == "Unified_XY_triads.py" and "toy" not in words else None
        settings = cli.parse(settings_of(words[0]), "", words[1:], constants_of)
    except SystemExit:
        pytest.fail(f"{document}: {' '.join(words)}: {capsys.readouterr().err}")
    if words[0] == "pretrain/finetune.py":
        cnn_options(settings)  # refuses flags that contradict each other
    for word in words:
        assert not word.startswith("data/splits/") or (ROOT / word).is_file(), f"{document} names {word}"


def test_documents_print_commands():
    """Guards the extraction: the first commands of the README and the scripts of every recipe are among them."""
    scripts = {words[0] for _, words in COMMANDS}
    assert {"Unified_XY_triads.py", "knn_eval.py", "paper_tables.py", "search.py", "pretrain/finetune.py"} <= scripts
    assert ("README.md", ["-m", "pip", "install", "-r", "requirements.txt"]) in COMMANDS


def all_flags():
    scripts = [path for folder in (".", "pretrain", "benchmarks", "data") for path in ROOT.glob(f"{folder}/*.py")]
    runnable = [
        path.relative_to(ROOT).as_posix()
        for path in scripts
        if re.search(r"commands\.run|, Settings, __doc__", path.read_text("utf-8"))
    ]
    classes = [settings_of(script) for script in runnable] + [system(name).Settings for name in SYSTEMS]
    return {flag(field.name) for options in classes for field in flag_fields(options)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_flag_in_running_text_exists(document):
    named = {word for words in code(document)[1] for word in re.findall(r"(?<!\S)--[a-z][a-z-]*", words)}
    assert named - all_flags() - {"--help", "--debug"} == set()  # these two are `cli`'s own


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
