"""SqueezeNet knows ImageNet's classes."""

import pytest

from zscmr.backbones import networks, squeezenet
from zscmr.backbones import weights as weight_files
from zscmr.datasets import layouts, pictures


@pytest.mark.slow
def test_squeezenet_knows_imagenet(real_data):
    """Of the 25 photos of a class, top-1 is zebra for 19 zebras, volcano for 19 or 20 volcanoes (by the picture
    decoder), airliner for 12 airplanes; the ImageNet indices are 340, 980 and 404."""
    model = squeezenet.build(227, top=True)
    weight_files.load(model, real_data / "weights/squeezenet_v1.0_imagenet.npz")
    assert model.count_params() == 1_248_424
    model = networks.pooled(model, "average")
    tree = layouts.list_pictures(real_data / "sketchy-mini/photo", "photo")
    for name, index, least in (("zebra", 340, 18), ("volcano", 980, 18), ("airplane", 404, 11)):
        paths = [path for path, file in zip(tree.paths(), tree.files, strict=True) if file.startswith(f"{name}/")]
        images, readable = pictures.read_pictures(paths, 227)
        assert readable.all() and (model.predict(images, verbose=0).argmax(1) == index).sum() >= least
