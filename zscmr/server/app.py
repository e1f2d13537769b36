"""The endpoints of the HTTP interface, over a `Searcher`. docs/api.md says what each takes and gives."""

import json
import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from zscmr.datasets.cleaning import DrawingNotes
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.retrieval.duplicates import originals
from zscmr.retrieval.searcher import Queries, UnknownPicture
from zscmr.server.access import Guard, error_response
from zscmr.server.adding import Adding
from zscmr.server.limits import FORMATS, LIMITS, WorkPool, check_picture, read_body
from zscmr.server.qr_code import qr_svg
from zscmr.server.question import Question
from zscmr.server.stored_pictures import OpenFileResponse, Thumbnails, details, open_picture, preview
from zscmr.server.zipped import ZIP, zipped
from zscmr.utils.errors import BadInput
from zscmr.utils.files import is_uri

STATIC = Path(__file__).parent / "static"
DOCUMENT = Path(__file__).parent / "openapi.json"  # of this interface; a route is described there
PICTURE_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"  # a browser styles pictures
THUMBNAIL_HEADERS = {"Cache-Control": "private, max-age=300, stale-while-revalidate=86400"}  # s; a file may change


class Api:
    """The endpoints.

    Args:
        searcher: the `Searcher` that answers.
        may_add: whether requests may add folders.
        limits: a `Limits`.
        open_url: the page's address for other machines; None: they do not reach it.
    """

    def __init__(self, searcher, may_add=False, limits=LIMITS, open_url=None):
        self.searcher, self.may_add, self.limits, self.open_url = searcher, may_add, limits, open_url
        self.adding, self.workers = Adding(searcher), WorkPool(limits.waiting)
        self.thumbnail_workers = WorkPool(limits.connections)  # their own: a search does not wait for thumbnails
        self.thumbnails = Thumbnails(limits.thumbnails, searcher.table.thumbnails)

    def close(self):
        """End an addition that runs, and the threads."""
        self.adding.stop()
        self.workers.close()
        self.thumbnail_workers.close()

    async def page(self, request):
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def phone(self, request):
        if self.open_url is None:
            raise HTTPException(404, "only this machine reaches the server; --host 0.0.0.0 lets others reach it")
        try:
            return Response(qr_svg(self.open_url), media_type="image/svg+xml")
        except BadInput as error:
            raise HTTPException(404, str(error)) from error

    async def search(self, request):
        question = Question.of(request.query_params, self.limits.top)
        kind = _content_type(request)
        if kind == "application/json":
            body = await self._json(request)
            by_name = question.class_name is not None and "like" not in body
            work = self._like, None if by_name else _text(body, "like")
        elif kind in FORMATS:
            work = self._search, await read_body(request, self.limits.body, self.limits.body_seconds)
        else:
            expected = ", ".join([*FORMATS, "application/json"])
            raise HTTPException(415, f"Content-Type: expected any of {expected}, received {kind!r}")
        return JSONResponse(await self.workers.do(self._answer, question, *work))

    def _search(self, body, question):
        check_picture(body, self.limits.pixels)
        notes = DrawingNotes(question.kind)
        vectors = self.searcher.embed([body], question.kind, notes)
        queries = Queries(vectors, question.class_name, [notes.colours.get(body)])
        choices = question.kind, question.gallery, question.top, question.filters
        [answer] = self.searcher.search_embedded(queries, *choices)
        return answer, bool(notes.photos)

    def _like(self, like, question):
        choices = question.gallery, question.top, question.filters, False, question.class_name
        if like is None:
            return self.searcher.search(None, "sketch", *choices), False
        return self.searcher.like(like, *choices), False

    def _answer(self, question, find, sent):
        began = time.perf_counter()
        answer, looks_like_photo = find(sent, question)
        first = range(len(answer)) if answer.parts is None else originals(answer.parts(), self.searcher.distance)
        hits = [_described(hit, answer[row].id) for hit, row in zip(answer, first, strict=True)]
        return {
            "gallery": question.gallery,
            "pictures": answer.pictures,
            "searched": answer.searched,
            "distance": self.searcher.distance,
            "cutoff": answer.cutoff,
            "similar": answer.any_similar,
            "looks_like_photo": looks_like_photo,
            "milliseconds": round(1e3 * (time.perf_counter() - began), 1),
            **({"how": answer.how} if answer.how else {}),
            **({"colours": answer.colours} if answer.colours else {}),
            "found": hits,
        }

    async def add(self, request):
        if not self.may_add:
            raise HTTPException(403, "this server does not add pictures on request (--allow-add)")
        if (kind := _content_type(request)) != "application/json":
            raise HTTPException(415, f"Content-Type: expected application/json, received {kind!r}")
        body = await self._json(request)
        folder, gallery = _text(body, "folder"), body.get("gallery", "photo")
        if gallery not in MODALITIES:
            raise BadInput(f"gallery: expected any of {', '.join(MODALITIES)}, received {gallery!r}")
        folder = _local_folder(folder)
        if not self.adding.start(gallery, folder):
            raise HTTPException(409, "an addition is running already")
        return JSONResponse(self.adding.state(), 202)

    async def picture(self, request):
        kind, file = await self.workers.do(self._stored, open_picture, request.path_params["id"])
        return OpenFileResponse(file, f"image/{kind.lower()}", {"Content-Security-Policy": PICTURE_POLICY})

    async def zip(self, request):
        ids = list(dict.fromkeys(request.query_params.getlist("id")))
        if not 1 <= len(ids) <= self.limits.zipped:
            raise BadInput(f"id: expected 1 to {self.limits.zipped} ids, received {len(ids)}")
        pictures = await self.workers.do(lambda: [self.searcher.picture(one) for one in ids])
        return StreamingResponse(zipped(pictures, self.workers.do), headers=ZIP, media_type="application/zip")

    async def thumbnail(self, request):
        get = partial(self.thumbnails.get, seen=request.headers.get("if-none-match"))
        tag, content = await self.thumbnail_workers.do(self._stored, get, request.path_params["id"])
        headers = {**THUMBNAIL_HEADERS, "ETag": tag}
        return Response(content, 200 if content else 304, headers, media_type="image/jpeg" if content else None)

    async def preview(self, request):
        content = await self.workers.do(self._stored, preview, request.path_params["id"])
        return Response(content, media_type="image/jpeg")

    async def details(self, request):
        return JSONResponse(await self.workers.do(self._stored, details, request.path_params["id"]))

    def _stored(self, read, picture_id):
        """read(`StoredPicture`). Raises UnknownPicture, and HTTPException for a file that cannot be read."""
        picture = self.searcher.picture(picture_id)
        try:
            return read(picture)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise HTTPException(410, "the picture has gone from the disk") from error
        except OSError as error:
            raise HTTPException(422, "the picture cannot be read") from error

    async def classes(self, request):
        return JSONResponse(await self.workers.do(self._classes))

    def _classes(self):
        counts = {modality: self.searcher.counts(modality) for modality in MODALITIES}
        return {"class_names": self.searcher.class_names} | {
            modality: {
                "classes": _listed(count.classes),
                "folders": _listed(count.folders),
                "taken": count.taken,
                "known": self.searcher.knows_classes(modality),
            }
            for modality, count in counts.items()
        }

    async def health(self, request):
        return JSONResponse(await self.workers.do(self._health))

    def _health(self):
        pictures = {modality: self.searcher.counts(modality).pictures for modality in MODALITIES}
        about = {"version": self.searcher.table.version(), "distance": self.searcher.distance}
        return {"pictures": pictures, **about, "adding": self.adding.state(), "may_add": self.may_add}

    async def _json(self, request):
        """The JSON object of a request's body."""
        try:
            body = json.loads(await read_body(request, self.limits.json, self.limits.body_seconds))
        except (ValueError, RecursionError) as error:
            raise BadInput("body: not readable as JSON") from error
        if not isinstance(body, dict):
            raise BadInput("body: expected a JSON object")
        return body


def make_app(api, token):
    """The ASGI application of an `Api`, behind its `Guard`."""
    routes = [
        Route("/", api.page),
        Route("/phone", api.phone),
        Route("/search", api.search, methods=["POST"]),
        Route("/add", api.add, methods=["POST"]),
        Route("/picture/{id}", api.picture),
        Route("/zip", api.zip),
        Route("/thumbnail/{id}", api.thumbnail),
        Route("/preview/{id}", api.preview),
        Route("/details/{id}", api.details),
        Route("/classes", api.classes),
        Route("/health", api.health),
        Route("/openapi.json", lambda request: FileResponse(DOCUMENT)),
        Route("/favicon.ico", lambda request: FileResponse(STATIC / "icon.svg")),  # of a picture opened by itself
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers = {
        HTTPException: lambda request, error: error_response(error.status_code, error.detail, **(error.headers or {})),
        UnknownPicture: lambda request, error: error_response(404, str(error)),
        BadInput: lambda request, error: error_response(400, str(error)),
        ClientDisconnect: lambda request, error: Response(status_code=400),  # nobody reads it
        Exception: lambda request, error: error_response(500, "an error of the server, which its own output describes"),
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, token, api.limits.request_seconds)


def _described(hit, original):
    gone = not (is_uri(hit.path) or os.path.isfile(hit.path))
    about = {"id": hit.id, "name": hit.name, "class": hit.class_name, "unseen": hit.unseen}
    about |= {"distance": hit.distance, "gone": gone, "box": None if hit.box is None else list(hit.box)}
    return {**about, "taken": hit.taken, "repeats": None if original == hit.id else original}


def _listed(counts):
    return [{"name": name, "pictures": count} for name, count in counts.items()]


def _local_folder(name):
    """The folder that a person typed: absolute, from `~`, or from where the server was started or their home folder.

    Quotes around it, as file managers copy paths, do not count.
    """
    path = os.path.expanduser(name[1:-1] if len(name) > 2 and name[0] == name[-1] and name[0] in "'\"" else name)
    tried = [os.path.abspath(os.path.join(start, path)) for start in (os.curdir, os.path.expanduser("~"))]
    with suppress(ValueError, UnicodeEncodeError):  # a null byte, or what no file name can hold
        for folder in tried if name else ():
            if os.path.isdir(folder):
                return folder
    raise BadInput(f"no such folder: {name[:200]!r}")


def _content_type(request):
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _text(body, key):
    if not isinstance(body.get(key), str):
        raise BadInput(f"body: expected an object with a text {key!r}")
    return body[key]
