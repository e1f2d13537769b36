"""EfficientNet-Lite2, with ImageNet weights from a package index."""

from zscmr.backbones.efficientnet_lite import entry

BACKBONE = entry("efficientnet_lite2", last_block="block20")
