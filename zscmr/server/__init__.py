"""The page to draw on and the HTTP interface under it, which docs/api.md describes: who may ask, and what is answered.

Whatever finds, embeds or stores pictures belongs in `retrieval`, which programs use without a server.
"""

from zscmr.utils.processes import missing


def library():
    """The module `zscmr.server.serving`. Raises BadInput where Starlette or uvicorn is missing."""
    try:
        from zscmr.server import serving
    except ImportError as error:
        raise missing("--draw: Starlette or uvicorn", "search", error) from error
    return serving
