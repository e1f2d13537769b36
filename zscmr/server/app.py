"""The HTTP interface over a `Searcher`, and the page that uses it."""

import io
import json
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from zscmr.datasets.pictures import read_header, read_thumbnail
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.retrieval import Filter
from zscmr.retrieval.searcher import UnknownPicture
from zscmr.retrieval.sources import read_remote
from zscmr.server.guards import COOKIE, FORMATS, Desk, Guard, check_picture, read_body, refusal, same_token
from zscmr.utils.console import warn
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import is_uri

STATIC = Path(__file__).parent / "static"
SIDE = 256  # pixels, of a thumbnail
KEPT = 2**25  # bytes of thumbnails
MOST = 1000  # nearest pictures that may be asked for
WORDS = 2**12  # bytes of a JSON body
PICTURE_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"  # a browser styles pictures


@dataclass(frozen=True)
class Question:
    """The parameters of a search."""

    kind: str
    gallery: str
    top: int
    filters: Filter

    @classmethod
    def of(cls, parameters):
        """Those of a query string. Raises BadInput for unknown, repeated or unusable ones."""
        known = {"kind": "sketch", "gallery": "photo", "top": "20", "folder": None, "unseen": None}
        if other := set(parameters) - set(known) - {"class"}:
            raise BadInput(f"{min(other)}: expected any of {', '.join([*known, 'class'])}")
        values = {}
        for name, default in known.items():
            given = parameters.getlist(name)
            if len(given) > 1:
                raise BadInput(f"{name}: expected once, received {len(given)} times")
            values[name] = given[0] if given else default
        for name, choices in (("kind", MODALITIES), ("gallery", MODALITIES), ("unseen", ("0", "1"))):
            if values[name] not in (known[name], *choices):
                raise BadInput(f"{name}: expected any of {', '.join(choices)}, received {values[name]!r}")
        top = values["top"]
        if not (top.isascii() and top.isdecimal() and len(top) < 5 and 1 <= int(top) <= MOST):
            raise BadInput(f"top: expected a number from 1 to {MOST}, received {top!r}")
        unseen = None if values["unseen"] is None else values["unseen"] == "1"
        filters = Filter(tuple(parameters.getlist("class")), values["folder"], unseen)
        return cls(values["kind"], values["gallery"], int(top), filters)


class Thumbnails:
    """JPEG thumbnails of picture files; the latest `KEPT` bytes of them stay in memory. Thread-safe."""

    def __init__(self):
        self._kept, self._bytes, self._lock = OrderedDict(), 0, threading.Lock()

    def get(self, path):
        """JPEG bytes. Raises OSError for a file that is missing or unreadable."""
        key = (path,)
        if not is_uri(path):
            status = os.stat(path)
            key = path, status.st_mtime_ns, status.st_size
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        file = io.BytesIO()
        read_thumbnail(_content(path), SIDE).save(file, format="JPEG", quality=80)
        with self._lock:
            self._bytes += len(file.getvalue()) - len(self._kept.get(key, b""))
            self._kept[key] = file.getvalue()
            while self._bytes > KEPT:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return file.getvalue()


class Api:
    """The endpoints. docs/api.md says what each takes and gives."""

    def __init__(self, searcher, adding, token=None, may_add=False):
        self.searcher, self.adding, self.token, self.may_add = searcher, adding, token, may_add
        self.desk, self.thumbnails = Desk(), Thumbnails()

    def close(self):
        """End an addition that runs, and the threads."""
        self.adding.stop()
        self.desk.close()

    async def page(self, request):
        """The page; `?token=` becomes a cookie, which the page's pictures need."""
        word = request.query_params.get("token")
        if word is None or self.token is None or not same_token(word, self.token):
            return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, word, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return answer

    async def search(self, request):
        question = Question.of(request.query_params)
        kind = _content_type(request)
        if kind == "application/json":
            work = self._like, _text(await _words(request), "like")
        elif kind in FORMATS:
            work = self._search, await read_body(request)
        else:
            expected = ", ".join([*FORMATS, "application/json"])
            raise HTTPException(415, f"Content-Type: expected any of {expected}, received {kind!r}")
        return JSONResponse(await self.desk.do(self._answer, question, *work))

    def _search(self, body, question):
        check_picture(body)
        return self.searcher.search(body, question.kind, question.gallery, question.top, question.filters)

    def _like(self, like, question):
        return self.searcher.like(like, question.gallery, question.top, question.filters)

    def _answer(self, question, find, sent):
        began = time.perf_counter()
        found = find(sent, question)
        return {
            "gallery": question.gallery,
            "pictures": found.pictures,
            "searched": found.searched,
            "distance": self.searcher.distance,
            "milliseconds": round(1e3 * (time.perf_counter() - began), 1),
            "found": [
                {
                    "id": match.id,
                    "name": match.name,
                    "class": match.class_name,
                    "unseen": match.unseen,
                    "distance": match.distance,
                    "gone": not (is_uri(match.path) or os.path.isfile(match.path)),
                }
                for match in found
            ],
        }

    async def add(self, request):
        if not self.may_add:
            raise HTTPException(403, "add: this server does not add pictures on request (--allow-add)")
        if (kind := _content_type(request)) != "application/json":
            raise HTTPException(415, f"Content-Type: expected application/json, received {kind!r}")
        words = await _words(request)
        folder, gallery = _text(words, "folder"), words.get("gallery", "photo")
        if gallery not in MODALITIES:
            raise BadInput(f"gallery: expected any of {', '.join(MODALITIES)}, received {gallery!r}")
        if not os.path.isabs(folder) or "\0" in folder or not os.path.isdir(folder):
            raise BadInput("folder: expected the absolute path of a folder")
        if not self.adding.start(gallery, folder):
            raise HTTPException(409, "add: an addition is running already")
        return JSONResponse(self.adding.state(), 202)

    async def picture(self, request):
        path = await self.desk.do(self._path, request.path_params["id"])
        kind, content = await self.desk.do(self._read, _checked, path)
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
        headers, media_type = {"Content-Security-Policy": PICTURE_POLICY}, f"image/{kind.lower()}"
        if isinstance(content, bytes):
            return Response(content, headers=headers, media_type=media_type)
        return FileResponse(path, headers=headers, media_type=media_type)

    async def thumbnail(self, request):
        path = await self.desk.do(self._path, request.path_params["id"])
        content = await self.desk.do(self._read, self.thumbnails.get, path)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=300"})

    def _path(self, picture_id):
        return self.searcher.picture(picture_id).path

    def _read(self, read, path):
        try:
            return read(path)
        except OSError as error:
            gone = not (is_uri(path) or os.path.exists(path))
            why = "has gone from the disk" if gone else "cannot be read"
            raise HTTPException(410 if gone else 422, f"picture: {why}") from error

    async def classes(self, request):
        return JSONResponse(await self.desk.do(self._classes))

    def _classes(self):
        answer = {}
        for modality in MODALITIES:
            counts = self.searcher.counts(modality)
            answer[modality] = {
                name: [{"name": key, "pictures": count} for key, count in of.items()]
                for name, of in (("classes", counts.classes), ("folders", counts.folders))
            }
        return answer

    async def health(self, request):
        return JSONResponse(await self.desk.do(self._health))

    def _health(self):
        pictures = {modality: self.searcher.table.count(modality) for modality in MODALITIES}
        about = {"version": self.searcher.table.version(), "distance": self.searcher.distance}
        return {"pictures": pictures, **about, "adding": self.adding.state(), "may_add": self.may_add}


def make_app(api):
    """The ASGI application of an `Api`."""
    routes = [
        Route("/", api.page),
        Route("/search", api.search, methods=["POST"]),
        Route("/add", api.add, methods=["POST"]),
        Route("/picture/{id}", api.picture),
        Route("/thumbnail/{id}", api.thumbnail),
        Route("/classes", api.classes),
        Route("/health", api.health),
        Route("/favicon.ico", lambda request: FileResponse(STATIC / "icon.svg")),  # of a picture opened by itself
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers = {
        HTTPException: _refused,
        UnknownPicture: lambda request, error: refusal(404, str(error)),
        BadInput: lambda request, error: refusal(400, str(error)),
        ClientDisconnect: lambda request, error: Response(status_code=400),  # nobody reads it
        Exception: lambda request, error: refusal(500, "an error of the server, which its own output describes"),
    }
    open_paths = {"/", "/favicon.ico", *(f"/static/{file.name}" for file in STATIC.iterdir())}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, api.token, open_paths)


def _content(path):
    """The path of a picture of the gallery, of one on object storage its bytes. Raises OSError where there is none."""
    if not is_uri(path):
        return path
    return read_remote(path)


def _checked(path):
    """(format, `_content`) of what is a picture, by its header. Raises OSError for anything else."""
    content = _content(path)
    return read_header(content)[0], content


def _refused(request, error):
    return refusal(error.status_code, error.detail, **(error.headers or {}))


def _content_type(request):
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _words(request):
    """The JSON object of a request's body."""
    try:
        words = json.loads(await read_body(request, WORDS))
    except (ValueError, RecursionError) as error:
        raise BadInput("body: not readable as JSON") from error
    if not isinstance(words, dict):
        raise BadInput("body: expected a JSON object")
    return words


def _text(words, key):
    if not isinstance(words.get(key), str):
        raise BadInput(f"body: expected an object with a text {key!r}")
    return words[key]


class Stopped(Exception):
    """Raised within an addition to end it."""


class Adding:
    """Brings a gallery up to date with folders (`Gallery.update`), one after the other."""

    def __init__(self, searcher):
        self.searcher = searcher
        self._lock, self._thread, self._state, self._stopped = threading.Lock(), None, None, False

    def start(self, modality, folder):
        """Begin to add `folder`; False if an addition is running."""
        with self._lock:
            if self._stopped or (self._thread and self._thread.is_alive()):
                return False
            self._state = {"folder": str(folder), "gallery": modality, "done": 0, "total": 0, "running": True}
            self._thread = threading.Thread(target=self._run, args=(modality, str(folder)), name="adding")
            self._thread.start()
            return True

    def state(self):
        """The addition that runs, or that ran last, as a dict; None before the first. `error`: why it ended early."""
        return self._state

    def stop(self):
        """End an addition that runs, after its current pictures; the next one goes on from there."""
        with self._lock:
            self._stopped = True
        if self._thread:
            self._thread.join()

    def _run(self, modality, folder):
        error = None
        try:
            self.searcher.table.update(modality, folder, self.searcher.encoder(modality), self._progress)
        except Stopped:
            error = "stopped"
        except Exception as fault:  # whatever ends the addition is said, and the server goes on
            error = str(fault) if isinstance(fault, BadInput) else first_line(fault)
            warn(error)
        self._state = {**self._state, "running": False, **({"error": error} if error else {})}

    def _progress(self, done, total):
        if self._stopped:
            raise Stopped
        self._state = {**self._state, "done": int(done), "total": int(total)}
