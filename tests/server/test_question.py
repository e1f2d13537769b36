"""The parameters of a search."""

from datetime import date

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: the server is not tested")

from starlette.datastructures import QueryParams

from zscmr.retrieval import Filter
from zscmr.server.question import Question


def of(text):
    return Question.of(QueryParams(text), 1000)


def test_what_is_left_out_restricts_nothing():
    assert of("") == Question("sketch", "photo", 20, Filter())
    assert of("top=1000&kind=photo&gallery=sketch") == Question("photo", "sketch", 1000, Filter())
    assert of("class=a&class=b&folder=/x&unseen=0").filters == Filter(("a", "b"), "/x", False)
    assert of("since=2024-06-01&until=2024-06-30").filters == Filter(since=date(2024, 6, 1), until=date(2024, 6, 30))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("top=0", "top: expected a number from 1 to 1000, received '0'"),
        ("top=1001", "top: expected a number from 1 to 1000, received '1001'"),
        ("top=00001", "top: expected a number"),
        ("top=-1", "top: expected a number"),
        ("top=", "top: expected a number"),
        ("top=%C2%B2", "top: expected a number"),
        ("top=1&top=2", "top: expected once, received 2 times"),
        ("kind=song", "kind: expected any of photo, sketch, received 'song'"),
        ("unseen=yes", "unseen: expected any of 0, 1, received 'yes'"),
        ("since=2024-06-31", "since: expected a day such as 2024-06-30, received '2024-06-31'"),
        ("since=2024-07-01&until=2024-06-30", "since: 2024-07-01 is after until, 2024-06-30"),
        ("size=1", "size: expected any of kind, gallery, top, folder, unseen, since, until, class"),
    ],
)
def test_others_are_refused(refused, text, why):
    assert refused(of, text).startswith(why)
