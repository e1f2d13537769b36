"""The face for programs: a gallery that is added to and searched."""

import subprocess
import sys

import numpy as np
import pytest
from helpers.project import ROOT
from helpers.toy_shapes import draw_gallery

import zscmr
from zscmr.commands import search

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")


@pytest.fixture(scope="module")
def encoder():
    return zscmr.Encoder.load("everyday")


@pytest.mark.slow
def test_pictures_are_added_and_found(encoder, tmp_path):
    folders = draw_gallery(tmp_path, per_class=3)
    gallery = zscmr.Gallery(tmp_path / "g", encoder)
    assert gallery.add(folders["photo"]).added == 9 and gallery.add(str(folders["photo"])).kept == 9
    query = folders["sketch"] / "disc/disc_0.png"
    answer = gallery.search(str(query), top=4)
    distances = [hit.distance for hit in answer]
    assert len(answer) == 4 and distances == sorted(distances) and answer.query == str(query)
    assert all(hit.path.startswith(str(folders["photo"])) and hit.class_name in hit.path for hit in answer)
    assert [one.hits for one in gallery.search([query, query.read_bytes()], top=4)] == [answer.hits] * 2
    only = gallery.search(query, filters=zscmr.Filter(classes=("bar",)))
    assert {hit.class_name for hit in only} == {"bar"} and only.searched == 3
    assert gallery.add(folders["sketch"], kind="sketch").added == 9
    assert len(gallery.search(query, gallery="sketch", top=1)[0].name)
    for path in list((folders["photo"] / "bar").iterdir())[1:] + list((folders["photo"] / "disc").iterdir())[1:]:
        path.unlink()
    assert gallery.add(folders["photo"], forget=True).removed == 4


def test_program_and_command_share_a_gallery(encoder, tmp_path, monkeypatch, capsys):
    folders = draw_gallery(tmp_path, per_class=2)
    monkeypatch.chdir(tmp_path)
    search.main(search.Settings(add=str(folders["photo"]), gallery="gallery"))
    query = folders["sketch"] / "bar/bar_0.png"
    search.main(search.Settings(query=(query,), top=3, gallery="gallery"))
    output = capsys.readouterr().out
    answer = zscmr.Gallery("gallery", encoder).search(query, top=3)
    assert len(answer) == 3
    for rank, hit in enumerate(answer, start=1):
        assert f"{rank:>5}  {hit.distance:9.4f}  {hit.name}"[2:] in output  # the encoder knows none of the classes


def test_the_gallery_of_another_encoder_is_refused(encoder, tmp_path, refused):
    from zscmr.retrieval import Identity, Table

    Table.open(tmp_path / "g", Identity(64, "cosine", "another"))
    assert "the gallery of another run" in refused(zscmr.Gallery, tmp_path / "g", encoder)


def test_the_face_is_lazy_and_lists_its_names():
    """`import zscmr` loads neither NumPy nor TensorFlow; no name of the face needs TensorFlow."""
    assert {*zscmr.__all__} <= {*dir(zscmr)}
    program = "import sys, zscmr; assert not {'numpy', 'PIL', 'scipy'} & {*sys.modules}; "
    program += "[getattr(zscmr, name) for name in zscmr.__all__]; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = zscmr.nothing


def test_embeddings_of_any_system_are_measured():
    """Two classes on a line; the only query of the second has its nearest in the first: AP 1 and 1/2."""
    queries, gallery = np.array([[0.0, 0], [1.1, 0]]), np.array([[0.0, 0], [1, 0], [1.4, 0]])
    scores = zscmr.evaluate(queries, gallery, [0, 1], [0, 0, 1], protocol="standard")
    assert scores["mAP@all"] == pytest.approx((1 + 1 / 2) / 2)
