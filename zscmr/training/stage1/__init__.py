"""Stage I: pictures to CNN features, by frozen backbones, trained classifiers, or one network trained end to end.

Options, training and the writing of a dataset directory belong here; the networks themselves are in
`zscmr.backbones`, what is shared with stage II in `zscmr.training`.
"""
