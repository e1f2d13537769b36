"""Binary codes: Hamming distances, ITQ, and what a file's codes are fitted on."""

import json

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file

from zscmr.evaluation import codes, metrics


def test_hamming_counts_bits(monkeypatch):
    random = np.random.default_rng(0)
    for width in (4, 8, 16, 3):
        left, right = (random.integers(0, 256, (count, width), dtype=np.uint8) for count in (5, 40))
        expected = (np.unpackbits(left, axis=1)[:, None] != np.unpackbits(right, axis=1)).sum(-1)
        np.testing.assert_array_equal(codes.hamming(left, right), expected)
        with monkeypatch.context() as patch:
            patch.delattr(np, "bitwise_count", raising=False)  # as NumPy 1
            np.testing.assert_array_equal(codes.hamming(left, right), expected)


def test_itq_loss_falls_at_every_iteration_and_codes_are_turned_principal_axes():
    random = np.random.default_rng(1)
    vectors = random.normal(size=(400, 24)) @ random.normal(size=(24, 24)) + 3
    fitted = codes.fit_itq(vectors, 16)
    assert len(fitted.losses) == 50 and (np.diff(fitted.losses) < 1e-9).all()
    assert fitted.losses[-1] < 0.995 * fitted.losses[0]
    np.testing.assert_allclose(fitted.projection.T @ fitted.projection, np.eye(16), atol=1e-9)
    # the axes are the leading ones: no other 16 hold more of the variance
    variance = ((vectors - vectors.mean(0)) @ fitted.projection).var(0).sum()
    assert variance == pytest.approx(np.sort(np.linalg.eigvalsh(np.cov(vectors.T, bias=True)))[-16:].sum())
    assert fitted.encode(vectors).shape == (400, 2)


def test_codes_are_fitted_on_seen_classes_and_scored_over_ties(tmp_path):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)[:, None]
    arrays = {"featuresx": random.normal(size=(120, 32)), "featuresy": random.normal(size=(120, 32))}
    features_file(tmp_path / "f.mat", **arrays, labelsx=labels, labelsy=labels, namesx=None, namesy=None)
    command_line(tmp_path / "f.mat", "--bits", 32, "--json", tmp_path / "r.json", "--directions", "image->image")
    results = json.loads((tmp_path / "r.json").read_text())
    assert (results["distance"], results["ties"]) == ("hamming", "expected")
    seen = np.isin(labels.ravel(), [0, 2])
    fitted = codes.fit_itq(np.vstack([arrays["featuresx"][seen], arrays["featuresy"][seen]]), 32)
    bits = np.unpackbits(fitted.encode(arrays["featuresx"][~seen]), axis=1)
    labels_of_unseen, scores = labels.ravel()[~seen], []
    for row in range(60):
        others = np.arange(60) != row
        distance, relevant = (bits[row] != bits).sum(1)[others], (labels_of_unseen == labels_of_unseen[row])[others]
        order = np.argsort(distance, kind="stable")
        tied = np.r_[False, np.diff(distance[order]) == 0]
        scores.append(metrics.average_precision(metrics.Hits.of(relevant[order][None], tied[None]))[0])
    assert results["directions"]["image->image"]["mAP@all"] == pytest.approx(np.mean(scores))
