"""Training loops of both stages, their state, devices and batches, and what a trained run is exported to.

Systems and losses are `zscmr.models`; importing the package does not import TensorFlow, so that options need none.
"""
