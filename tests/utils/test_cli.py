"""What every command does alike, each in a process of its own: encodings of the terminal, errors, tracebacks."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
from helpers.project import ROOT
from helpers.toy_features import features_file

from zscmr.utils import cli
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting


@pytest.fixture
def narrow(tmp_path, monkeypatch):
    """Run a command in a folder of its own on a terminal of few letters; (status, output, errors)."""

    def run(*words, encoding="cp1252"):
        monkeypatch.setenv("PYTHONIOENCODING", encoding)
        command = [sys.executable, str(ROOT / words[0]), *map(str, words[1:])]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding=encoding)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "[--unseen FILE …]"), ("cp1252", "[--unseen FILE …]"), ("ascii", "FILE ?]")]
)
def test_help_is_printed_whatever_the_encoding(narrow, encoding, shown):
    status, out, errors = narrow("knn_eval.py", "--help", encoding=encoding)
    assert (status, errors) == (0, "")
    assert "--protocol" in out and "95 % intervals" in out and "(default: standard)" in out
    status, out, errors = narrow("paper_tables.py", "--help", encoding=encoding)
    assert (status, errors) == (0, "") and shown in out


@pytest.mark.slow
def test_tables_are_printed_and_files_written_whatever_the_encoding(narrow, tmp_path):
    """cp1252 has ± and † but not −, a question mark on the terminal, and itself in the files."""
    leaked = "the CNNs saw † − all"
    features_file(tmp_path / "f.mat", leaked=leaked)
    status, out, errors = narrow("knn_eval.py", "f.mat", "--json", "r.json", "--figures", "figures")
    assert status == 0 and " ±0." in out and "WARNING: the CNNs saw † ? all" in out
    assert "Traceback" not in errors
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["leaked"] == leaked
    assert leaked in (tmp_path / "figures/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_plan_is_printed_whatever_the_encoding(narrow, dataset_folder, tmp_path):
    (tmp_path / "two −.txt").write_text("bee\nfox\n")
    status, out, errors = narrow("paper_tables.py", "--data", dataset_folder, "--unseen", "two −.txt", "--plan")
    assert status == 0
    assert all(line.startswith("warning: unseen list ") for line in errors.splitlines())  # of few unseen classes
    assert "unseen list two ?" in out and "cells missing, about" in out


def test_an_error_is_a_line_whatever_the_encoding(narrow):
    status, out, errors = narrow("knn_eval.py", "gone −.mat")
    assert (status, out) == (2, "")
    assert errors.startswith("knn_eval.py: gone ") and errors.endswith(".mat: no such file\n")
    assert errors.count("\n") == 1


def test_debug_shows_the_traceback(script, tmp_path):
    quiet = script("knn_eval.py", "gone.mat", cwd=tmp_path, status=2)
    assert quiet.stderr == "knn_eval.py: gone.mat: no such file\n"
    shown = script("knn_eval.py", "gone.mat", "--debug", cwd=tmp_path, status=1)
    assert shown.stderr.startswith("Traceback (most recent call last)")
    assert shown.stderr.endswith("BadInput: gone.mat: no such file\n")


def test_a_missing_package_is_a_line_with_what_installs_it(narrow, tmp_path):
    program = tmp_path / "program.py"
    lines = "import sys; sys.modules['tensorflow'] = None", "from zscmr.commands import run", "run('train')"
    program.write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + "\n".join(lines))
    status, out, errors = narrow(program, "--path", tmp_path / "run", "--preset", "paper")
    line = "program.py: TensorFlow is not installed: python -m pip install -r requirements.txt\n"
    assert (status, out, errors) == (2, "", line)


@dataclass(frozen=True)
class Toy(Options):
    network: str = setting("a", "what is trained")
    size: int | None = setting(None, "side", usual="the network's")


def size_of(given):
    network = vars(given).get("network", "a")
    if network not in ("a", "b"):
        raise BadInput("no such network")
    return {"size": {"a": 5, "b": 7}[network]}


@pytest.mark.parametrize(("network", "shown"), [("a", "5"), ("b", "7"), ("c", "the network's")])
def test_help_tells_defaults_that_other_flags_give(capsys, network, shown):
    """By their words where they are unknown; the value itself stays None."""
    with pytest.raises(SystemExit):
        cli.parse(Toy, "", ["--network", network, "--help"], defaults_of=size_of)
    assert f"side (default: {shown})" in capsys.readouterr().out
    assert cli.parse(Toy, "", ["--network", network], defaults_of=size_of).size is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--netwrok", "b"], "--netwrok b; did you mean --network?"),
        (["--netwrok=b"], "--netwrok=b; did you mean --network?"),
        (["--colour", "b"], "--colour b"),
        (["b"], "b"),
    ],
)
def test_an_unknown_flag_is_refused_with_the_one_spelt_nearly_so(capsys, words, said):
    with pytest.raises(SystemExit) as stop:
        cli.parse(Toy, "", words)
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f": unrecognized arguments: {said} (--help lists the options)\n")


def test_control_characters_of_flags_do_not_reach_the_terminal(narrow):
    status, out, errors = narrow("knn_eval.py", "--run\x1b[31m\n", encoding="utf-8")
    assert (status, out) == (2, "") and errors.count("\n") == 1 and r"\x1b[31m\n" in errors
