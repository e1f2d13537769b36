"""The gallery of a program: pictures added and searched in a few lines."""

import os
from pathlib import Path

from zscmr.evaluation.distances import MEMORY
from zscmr.retrieval.encoder import Encoder
from zscmr.retrieval.run_gallery import open_encoder_table
from zscmr.retrieval.searcher import Searcher
from zscmr.retrieval.updates import AddRules, Update
from zscmr.utils.files import is_uri


class Gallery(Searcher):
    """Pictures and their embeddings in a folder or on object storage. Thread-safe.

    Several processes can add to the same gallery at once; nothing is lost.
    """

    def __init__(
        self, where: "str | os.PathLike[str]", encoder: Encoder, memory: int = MEMORY, windows: str | None = None
    ) -> None:
        """Open a gallery, or begin one where there is none.

        Args:
            where: a folder, or a URI such as s3://bucket/gallery.
            encoder: embeds what is added and what is searched with. The one that the gallery was begun with.
            memory: bytes of vectors that are searched in memory; above it the table's index answers.
            windows: how photos are added: "0" without windows, "fast" or "thorough" with them (docs/search.md). Left
                out: as the gallery was begun; a new one as "fast" if the encoder has windows.

        Raises BadInput for the gallery of another encoder or other windows, or one that cannot be read or made.
        """
        path = where if is_uri(where) else Path(where).expanduser()
        super().__init__(open_encoder_table(path, encoder.folder, mode=windows), encoder.of_kind, memory)

    def add(
        self, folder: "str | os.PathLike[str]", kind: str = "photo", *, follow_links: bool = False, forget: bool = False
    ) -> Update:
        """Bring the gallery up to date with the pictures in a folder and the folders in it.

        Args:
            folder: a folder, or a URI. Pictures in a folder of it are of the class that this folder names.
            kind: what the pictures are, "photo" or "sketch".
            follow_links: take what links that lead out of the folder point to.
            forget: drop rows even if the folder has gone or most of its pictures have.

        Raises BadInput for a folder without a readable picture.
        """
        path = os.fspath(folder) if is_uri(folder) else Path(folder).expanduser()
        done: Update = self.table.update(kind, path, self.encoder(kind), rules=AddRules(follow_links, forget))
        return done
