"""Curves, the confusion of classes, the map."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from zscmr.reports import plots


def test_curves_end_with_the_gallery(drawn):
    """Ten photos and six sketches of unseen classes: P@k has no point beyond 10, 6, and within a modality one less."""
    right = drawn()["curves.png"].axes[1]
    lines = {line.get_label(): line.get_xdata() for line in right.get_lines()}
    last = {"sketch → image": 10, "image → sketch": 6, "sketch → sketch": 5, "image → image": 9}
    assert {name: x[-1] for name, x in lines.items()} == {
        name: max(k for k in plots.DEPTHS if k <= gallery) for name, gallery in last.items()
    }
    assert right.get_xlim()[1] <= 10


def test_confusion_shows_shares_in_numbers(drawn):
    """All of cat's ten nearest are five cats and five dogs; so are dog's: there are no more photos."""
    axes = drawn()["confusion.png"].axes[0]
    assert [text.get_text() for text in axes.texts] == ["50"] * 4


def test_confusion_fills_its_picture(drawn):
    """With short names at most .3 inches are left white at an edge; captions stay within."""
    figure = drawn()["confusion.png"]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    ink = np.asarray(canvas.buffer_rgba())[..., :3].min(2) < 200
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    margins = rows[0], ink.shape[0] - rows[-1], columns[0], ink.shape[1] - columns[-1]
    assert min(margins) > 0 and max(margins) < 0.3 * figure.dpi


def test_names_on_the_map_have_the_colour_of_their_points(drawn):
    left, right = drawn()["map.png"].axes
    for axes in (left, right):
        dots = axes.collections[0].get_facecolor()[:, :3]  # five cats, then five dogs
        names = {text.get_text(): text.get_color() for text in axes.texts}
        np.testing.assert_allclose([names["cat"], names["dog"]], 0.85 * dots[[0, -1]])
