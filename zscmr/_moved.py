"""Modules that lay loose in zscmr/ before 0.2, importable by their old names for programs written then."""

import importlib
import importlib.abc
import importlib.util
import sys
import warnings

MOVED = {  # old name below zscmr -> new one
    "class_graph": "datasets.class_graph",
    "classes": "datasets.classes",
    "cli": "utils.cli",
    "console": "utils.console",
    "cores": "utils.processes",
    "dataset_files": "formats.dataset_directory",
    "errors": "utils.errors",
    "feature_export": "inference.outputs",
    "figures": "reports",
    "files": "utils.files",
    "index_files": "datasets.index_files",
    "layouts": "datasets.layouts",
    "literature": "datasets.literature",
    "mat_hdf5": "formats.mat_hdf5",
    "litert": "inference.graph",
    "matfiles": "formats.matfiles",
    "miniature": "datasets.miniature",
    "options": "utils.options",
    "pictures": "datasets.pictures",
    "processes": "utils.processes",
    "provenance": "formats.dataset_directory",
    "quickdraw": "datasets.drawings",
    "quiet": "utils.processes",
    "released": "formats.dataset_directory",
    "runs": "formats.runs",
    "scaling": "datasets.scaling",
    "seeds": "utils.seeds",
    "tables": "paper",
    "vector_files": "datasets.word_vectors",
    "warp": "training.stage1.augmentation",
    "word_vectors": "datasets.word_vectors",
}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import `zscmr.OLD` as the module that it became, with a DeprecationWarning."""

    def find_spec(self, name, path=None, target=None):
        package, _, old = name.partition(".")
        return importlib.util.spec_from_loader(name, self) if package == "zscmr" and old in MOVED else None

    def exec_module(self, module):
        old = module.__name__.partition(".")[2]
        warnings.warn(f"zscmr.{old} is zscmr.{MOVED[old]} now", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = importlib.import_module(f"zscmr.{MOVED[old]}")


def install():
    """Look old names up where no module of that name is found."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
