"""What a search returns: hits in order, and where the similar ones end."""

import numpy as np

from zscmr.retrieval.hits import Answer, Hit, answers
from zscmr.retrieval.schema import Pictures

HITS = tuple(
    Hit(distance, "cat", f"/in/{name}.jpg", name, name * 16, False)
    for distance, name in ((0.1, "a"), (0.3, "b"), (0.4, "c"))
)


def test_an_answer_is_a_sequence_of_its_hits():
    answer = Answer(HITS, searched=5, pictures=9)
    assert list(answer) == list(HITS) and len(answer) == 3 and answer[1] is HITS[1]


def test_similar_hits_end_at_the_cutoff():
    """A hit at the cut-off itself is similar."""
    for cutoff, similar in ((0.05, 0), (0.1, 1), (0.3, 2), (0.35, 2), (1.0, 3)):
        answer = Answer(HITS, 3, 3, cutoff=cutoff)
        assert (answer.similar, answer.any_similar) == (similar, similar > 0)


def test_without_a_cutoff_all_are_similar():
    assert Answer(HITS, 3, 3).similar == 3
    assert Answer((), 0, 3).any_similar and not Answer((), 0, 3, cutoff=0.5).any_similar


def test_answers_of_several_queries():
    def texts(*values):
        return np.array(values, object)

    pictures = Pictures(
        ids=texts("1" * 16, "2" * 16),
        paths=texts("/in/a.jpg", ""),
        names=texts("a.jpg", "row 1"),
        classes=texts("ant", "bee"),
        unseen=np.array([True, False]),
        vectors=np.zeros((2, 3), np.float32),
    )
    both = answers([pictures, pictures.take([1])], [(0.25, 0.5), (0.75,)], 2, 7, "by an index")
    assert [[hit.distance for hit in answer] for answer in both] == [[0.25, 0.5], [0.75]]
    assert both[0][0] == Hit(0.25, "ant", "/in/a.jpg", "a.jpg", "1" * 16, True)
    assert both[1][0] == Hit(0.75, "bee", "", "row 1", "2" * 16, False)
    assert all((answer.searched, answer.pictures, answer.how) == (2, 7, "by an index") for answer in both)
