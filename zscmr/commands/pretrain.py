"""Stage I: pictures -> one CNN per modality, trained on seen classes only -> the feature files of a dataset directory.

Writes imagematnew.mat, sketchmatnew.mat, label_im.mat, label_sk.mat, names_images.mat, names_sketches.mat, dataset2.mat
(where sketch names say which photo they draw), unseen.txt, the trained CNNs (photo.weights.h5, sketch.weights.h5) and
pictures.json (how all this was made) into --out. Stopped at any point, the same command goes on from there.

--freeze trains nothing: features are the backbone's averaged last maps (or all of them, --pool flatten). --train head
leaves the backbone as it is and trains a Dense layer on its output, whose outputs are the features; last-block and all
train that much of the backbone too.
"""

from zscmr.training.stage1.miniature import run_stage1 as main
from zscmr.training.stage1.options import Stage1Options as Settings
from zscmr.training.stage1.options import defaults_of

__all__ = ["Settings", "defaults_of", "main"]
