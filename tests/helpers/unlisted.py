"""Folders that the system refuses to list: permissions do not bind root."""

import os


def refuse_to_list(monkeypatch, ending):
    """Refuse to list folders whose path ends so, as one without the permission."""
    scandir = os.scandir

    def refuses(path):
        if str(path).endswith(ending):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
