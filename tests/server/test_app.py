"""What each endpoint answers; refusals have one form."""

import io
import re
import shutil

import pytest
from helpers.project import ROOT, posix
from helpers.toy_shapes import ToyEncoder, colourful_photo, picture_bytes
from PIL import Image

from zscmr.inference.class_vectors import ClassVectors
from zscmr.retrieval import Filter
from zscmr.retrieval.hits import Answer, Hit

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the server is not tested")
pytest_plugins = ("helpers.toy_server",)
STATIC = ROOT / "zscmr/server/static"


def test_search_answers_as_the_searcher(server, sketch):
    answer = server.search(sketch, "top=5&class=disc&class=bar")
    expected = server.searcher.search(sketch, top=5, filters=Filter(("disc", "bar")))
    assert answer.pop("milliseconds") > 0
    assert answer == {
        "gallery": "photo",
        "pictures": 24,
        "searched": 16,
        "distance": "euclidean",
        "cutoff": None,
        "similar": True,
        "looks_like_photo": False,
        "found": [
            {
                "id": hit.id,
                "name": hit.name,
                "class": hit.class_name,
                "unseen": hit.unseen,
                "distance": hit.distance,
                "gone": False,
                "box": None,
                "taken": None,
                "repeats": None,
            }
            for hit in expected
        ],
    }
    assert len(expected.hits) == 5


def test_an_answer_of_the_table_says_how_it_was_found(serve, sketch):
    """A gallery above the searcher's memory; `how` is empty where vectors were compared in memory."""
    server = serve()
    assert "how" not in server.search(sketch)
    hit = Hit(0.5, "bar", "/none.jpg", "none", "0" * 16, False, (0.25, 0.0, 0.75, 0.5))
    server.searcher.search_vectors = lambda *_: [Answer((hit,), 1, 2, "by an index that finds 97.0% of the nearest")]
    answer = server.search(sketch)
    assert answer["how"] == "by an index that finds 97.0% of the nearest"
    assert (answer["searched"], answer["pictures"], answer["found"][0]["gone"]) == (1, 2, True)
    assert answer["found"][0]["box"] == [0.25, 0, 0.75, 0.5]


@pytest.mark.parametrize(("suffix", "kind"), [("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_search_takes_three_formats(server, sketch, suffix, kind):
    file = io.BytesIO()
    Image.open(io.BytesIO(sketch)).save(file, suffix, quality=95)
    answer = server.json("POST", "/search?gallery=sketch&top=1&kind=photo", file.getvalue(), content_type=kind)
    assert answer["found"][0]["name"] == "disc/disc_3.png" and answer["found"][0]["distance"] < 0.2


def test_more_like_a_picture(server):
    photo = server.searcher.table.pictures("photo").ids[3]
    for gallery in ("photo", "sketch"):
        answer = server.json("POST", f"/search?gallery={gallery}&top=4", {"like": photo})
        expected = server.searcher.like(photo, gallery, 4)
        assert [one["id"] for one in answer["found"]] == [hit.id for hit in expected.hits]


def test_filters(server, drawn, sketch):
    """By folder, those in it included, and by whether the class was trained on."""
    for query, classes in (
        (f"folder={drawn['photo']}/bar", {"bar"}),
        (f"folder={drawn['photo'].parent}", {"bar", "cross", "disc"}),
        (f"folder={drawn['photo']}&class=disc", {"disc"}),
        ("unseen=1", {"cross"}),
        ("unseen=0", {"bar", "disc"}),
    ):
        answer = server.search(sketch, f"{query}&top=100")
        assert answer["searched"] == len(answer["found"]) == 8 * len(classes)
        assert {one["class"] for one in answer["found"]} == classes
        assert all(one["unseen"] == (one["class"] == "cross") for one in answer["found"])
    for folder in (f"{drawn['photo']}/ba", "/etc", "%00"):  # the first is a part of a name
        assert "folder: no picture of " in server.search(sketch, f"folder={folder}", 400)["error"]
    assert server.search(sketch, "class=star", 400) == {"error": "the gallery has no class 'star'"}


def test_pictures_and_thumbnails(serve, folders):
    server = serve()
    photos = server.searcher.table.pictures("photo")
    large = folders["photo"] / "bar/bar_0.jpg"
    Image.new("RGB", (900, 300), "red").save(large)
    picture = photos.ids[list(photos.paths).index(str(large))]
    status, headers, content = server.ask("GET", f"/picture/{picture}")
    assert (status, headers["Content-Type"], content) == (200, "image/jpeg", large.read_bytes())
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; img-src")
    status, headers, content = server.ask("HEAD", f"/picture/{picture}", headers={"Range": "bytes=0-3"})
    assert (status, headers["Content-Length"], content) == (200, str(large.stat().st_size), b"")
    status, headers, content = server.ask("GET", f"/thumbnail/{picture}")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(content)) as thumbnail:
        assert thumbnail.size == (256, 85)
    status, _, content = server.ask("GET", f"/preview/{picture}")
    with Image.open(io.BytesIO(content)) as preview:
        assert (status, preview.format, preview.size) == (200, "JPEG", (900, 300))
    known = {"If-None-Match": headers["ETag"]}
    assert server.ask("GET", f"/thumbnail/{picture}", headers=known)[::2] == (304, b"")
    Image.new("RGB", (300, 900), "red").save(large)
    status, headers, content = server.ask("GET", f"/thumbnail/{picture}", headers=known)
    assert status == 200 and content and headers["ETag"] != known["If-None-Match"]


def test_pictures_that_vanish_show_as_gone(serve, folders, sketch):
    server = serve()
    first = server.search(sketch, "top=1")["found"][0]
    (folders["photo"] / first["name"]).unlink()
    assert server.search(sketch, "top=1")["found"] == [{**first, "gone": True}]
    for path in ("picture", "thumbnail", "preview"):
        answer = server.json("GET", f"/{path}/{first['id']}", status=410)
        assert answer == {"error": "the picture has gone from the disk"}
    server.searcher.table.update("photo", folders["photo"], None, lambda done, total: None)
    assert server.search(sketch, "top=1")["found"][0]["id"] != first["id"]
    assert server.json("GET", f"/picture/{first['id']}", status=404)


def test_a_picture_that_is_none_any_more_is_not_sent(serve, folders):
    """What lies at the path of a picture later is not part of the gallery unless it is a picture."""
    server = serve()
    photos = server.searcher.table.pictures("photo")
    (folders["photo"] / "bar/bar_0.jpg").write_text("a secret")
    for path in ("picture", "thumbnail", "preview"):
        answer = server.json("GET", f"/{path}/{photos.ids[0]}", status=422)
        assert answer == {"error": "the picture cannot be read"}


@posix
@pytest.mark.parametrize("part", ["bar/bar_0.jpg", "bar", "."])
def test_a_link_in_place_of_a_picture_or_its_folder_is_not_followed(serve, folders, tmp_path, part):
    server, photos = serve(), folders["photo"]
    picture = server.searcher.table.pictures("photo").ids[0]
    assert server.ask("GET", f"/thumbnail/{picture}")[0] == 200
    elsewhere, original = tmp_path / "elsewhere", photos / part
    if original.is_dir():
        shutil.copytree(original, elsewhere)  # copies times and sizes
        shutil.rmtree(original)
    else:
        shutil.copyfile(original, elsewhere)
        original.unlink()
    for file in [elsewhere, *elsewhere.rglob("*.jpg")]:
        if file.is_file():
            Image.new("RGB", (50, 50), "green").save(file, "JPEG")
    original.symlink_to(elsewhere)
    for path in ("picture", "thumbnail", "preview"):
        answer = server.json("GET", f"/{path}/{picture}", status=422)
        assert answer == {"error": "the picture cannot be read"}


def test_classes_and_health(server, drawn):
    classes = server.json("GET", "/classes")
    assert classes["photo"]["classes"] == [{"name": name, "pictures": 8} for name in ("bar", "cross", "disc")]
    assert classes["photo"]["known"] is True and classes["photo"]["taken"] is None
    assert classes["sketch"]["folders"][0] == {"name": f"{drawn['sketch']}/bar", "pictures": 8}
    assert server.json("GET", "/health") == {
        "pictures": {"photo": 24, "sketch": 24},
        "version": 1,
        "distance": "euclidean",
        "adding": None,
        "may_add": False,
    }


PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "why"),
    [
        ("GET", "/search", {}, None, 405, "Method Not Allowed"),
        ("GET", "/nothing", {}, None, 404, "Not Found"),
        ("POST", "/search", PNG, b"no picture", 400, "picture: neither JPEG"),
        ("POST", "/search", PNG, b"", 400, "picture: empty"),
        (
            "POST",
            "/search",
            {"Content-Type": "text/plain"},
            b"x",
            415,
            "Content-Type: expected any of image/png, image/jpeg, ",
        ),
        ("POST", "/search", {}, b"x", 415, "Content-Type: expected"),
        ("POST", "/search", JSON, b"{", 400, "body: not readable as JSON"),
        ("POST", "/search", JSON, b"[" * 4000, 400, "body: not readable as JSON"),
        ("POST", "/search", JSON, b"[]", 400, "body: expected a JSON object"),
        ("POST", "/search", JSON, b'{"like": 3}', 400, "body: expected an object with a text 'like'"),
        ("POST", "/search", JSON, b'{"like": "../../etc/passwd"}', 404, "no picture '../../etc/passwd' in the gallery"),
        ("POST", "/search", JSON, b" " * 5000, 413, "body: expected at most 4,096 bytes, received 5000"),
        ("POST", "/search?top=0", PNG, b"x", 400, "top: expected a number from 1 to 1000, received '0'"),
        ("POST", "/search?top=%C2%B2", PNG, b"x", 400, "top: expected a number from 1 to 1000"),
        ("POST", "/search?top=1&top=2", PNG, b"x", 400, "top: expected once, received 2 times"),
        ("POST", "/search?kind=song", PNG, b"x", 400, "kind: expected any of photo, sketch, received 'song'"),
        ("POST", "/search?gallery=all", PNG, b"x", 400, "gallery: expected any of photo, sketch, received 'all'"),
        ("POST", "/search?size=1", PNG, b"x", 400, "size: expected any of kind, gallery, top, folder, unseen, since"),
        ("GET", "/zip", {}, None, 400, "id: expected 1 to 200 ids, received 0"),
        ("GET", "/zip?id=x", {}, None, 404, "no picture 'x' in the gallery"),
        ("GET", "/picture/0000000000000000", {}, None, 404, "no picture '0000000000000000' in the gallery"),
        ("POST", "/add", JSON, b'{"folder": "/"}', 403, "this server does not add pictures on request"),
    ],
)
def test_refusals_have_one_form(server, method, path, headers, body, status, why):
    received, answered, content = server.ask(method, path, body, headers)
    assert received == status
    assert answered["Content-Type"] == "application/json"
    assert content.decode().startswith('{"error":"' + why.replace('"', '\\"')), content


def test_an_error_of_the_server_is_said_without_its_details(serve, sketch):
    server = serve()
    server.searcher.search_vectors = lambda *_: 1 / 0
    answer = server.search(sketch, status=500)
    assert answer == {"error": "an error of the server, which its own output describes"}


def test_the_page_needs_nothing_from_elsewhere(server):
    """No inline script or style, which its policy would refuse, and no address but its own."""
    status, headers, page = server.ask("GET", "/")
    assert status == 200 and page == (STATIC / "index.html").read_bytes()
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|<style|\son\w+=", page.decode())
    for file in STATIC.iterdir():
        assert server.ask("GET", f"/static/{file.name}")[0] == 200
        text = file.read_bytes().decode(errors="replace")  # of icons too
        outside = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", re.sub(r"^\s*//.*", "", text, flags=re.M))
        assert [address for address in outside if "www.w3.org" not in address] == []


def test_a_class_name_alone_and_with_a_picture(serve, sketch, monkeypatch):
    server = serve()
    vector = server.searcher.embed([sketch], "sketch")
    assert server.json("GET", "/classes")["class_names"] == []
    monkeypatch.setattr(ToyEncoder, "class_vectors", ClassVectors(("disc",), vector))
    assert server.json("GET", "/classes")["class_names"] == ["disc"]
    drawn, like = server.search(sketch, "top=3"), {"like": server.searcher.table.pictures("photo").ids[0]}
    for answer in (
        server.json("POST", "/search?top=3&class_name=disc", {}),
        server.search(sketch, "top=3&class_name=Disc"),  # half-way between equal vectors
    ):
        assert [hit["id"] for hit in answer["found"]] == [hit["id"] for hit in drawn["found"]]
    found = server.json("POST", "/search?top=3&class_name=disc", like)["found"]
    assert [hit["id"] for hit in found] == [
        hit.id for hit in server.searcher.like(*like.values(), "photo", 3, class_name="disc")
    ]
    error = server.json("POST", "/search?class_name=disk", {}, 400)["error"]
    assert error == "none of the 1 class names that the encoder knows is 'disk'; did you mean disc?"
    assert server.json("POST", "/search", {}, 400) == {"error": "body: expected an object with a text 'like'"}


def test_nothing_similar_is_said(serve, sketch, monkeypatch):
    monkeypatch.setattr(ToyEncoder, "cutoff", 0.01)
    answer = serve().search(sketch, "top=3")
    assert (answer["cutoff"], answer["similar"], len(answer["found"])) == (0.01, False, 3)


def test_a_photo_sent_as_a_sketch_is_recognised(server, sketch):
    photo = picture_bytes(colourful_photo())
    for query, expected in (("kind=sketch", True), ("kind=photo", False)):
        assert server.search(photo, query)["looks_like_photo"] is expected
    assert server.search(sketch)["looks_like_photo"] is False


def test_details_of_a_picture(serve, folders):
    file = folders["photo"] / "bar/bar_0.jpg"
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:06:30 18:05:00"  # DateTimeOriginal
    Image.new("RGB", (30, 20), "red").save(file, exif=exif)
    server = serve()
    photos = server.searcher.table.pictures("photo")
    about = {"name": "bar/bar_0.jpg", "class": "bar", "bytes": file.stat().st_size, "taken": "2024-06-30T18:05:00"}
    assert server.json("GET", f"/details/{photos.ids[0]}") == about
    assert server.json("GET", f"/details/{photos.ids[1]}")["taken"] is None
    file.unlink()
    assert server.json("GET", f"/details/{photos.ids[0]}", status=410)
