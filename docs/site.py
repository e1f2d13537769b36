"""Hooks of mkdocs.yml: documents outside docs/ are pages too, and documents that a text names are links."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

OUTSIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "FIDELITY.md", "data/README.md", "results/joint.md")


def on_files(files, config):
    """Add the documents outside docs/."""
    root = Path(config.config_file_path).parent
    for name in OUTSIDE:
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Replace names of documents in backticks by links; targets are as seen from the repository's root."""

    def linked(match):
        target = match[1].removeprefix("docs/")
        if target == page.file.src_uri or files.get_file_from_path(target) is None:
            return match[0]
        return f"[{match[0]}]({posixpath.relpath(target, posixpath.dirname(page.file.src_uri))})"

    return re.sub(r"(?<!\[)`([\w./-]+\.md)`", linked, markdown.replace("](docs/", "]("))
