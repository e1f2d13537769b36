"""Stage I: pictures to CNN features. Frozen backbones, classifiers, and both modalities end to end."""
