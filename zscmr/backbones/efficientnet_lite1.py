"""EfficientNet-Lite1, with ImageNet weights from a package index."""

from zscmr.backbones.efficientnet_lite import entry

BACKBONE = entry("efficientnet_lite1", last_block="block20")
