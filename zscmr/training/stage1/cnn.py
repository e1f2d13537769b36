"""The network of a `CnnSpec`: built with the weights it starts from, and restored with those it ended with."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zscmr.backbones import networks
from zscmr.backbones import weights as weight_files
from zscmr.training.stage1.student import bare_system, freeze, with_system

SMALL_VIEW = 7 / 9  # of the side of a picture: 224 of 288


def build_body(spec, seed, strategy=None):
    """The backbone with its pool for the devices of `strategy`, with the weights of `spec`, else random ones of `seed`.

    The same at every call: layers without a name are numbered from here on, as in weight files.
    """
    renumber_layers()
    with (strategy or tf.distribute.get_strategy()).scope():
        return pooled_backbone(spec, seed)


def pooled_backbone(spec, seed):
    """`build_body` within a strategy's scope; "last-block" freezes all below it."""
    keras.utils.set_random_seed(seed)
    body = networks.build(spec.entry, spec.weights, spec.size)
    if spec.train == "last-block":
        freeze(body, spec.entry.last_block, norms_trained=True)
    return networks.pooled(body, spec.pool, spec.entry.special)


def renumber_layers():
    """Number layers without a name from the first again. Not within the scope of a strategy."""
    policy = keras.mixed_precision.global_policy()
    keras.utils.clear_session()
    keras.mixed_precision.set_global_policy(policy)


def averaged_over_views(model, spec):
    """Pictures (n, size, size, 3) uint8 → the mean of a network's features (n, F) over the views of its `spec`.

    1: the picture. 2: the picture at SMALL_VIEW of its size, and its mirror. 4: both of them at both sizes.
    """
    if spec.views == 1:
        return model
    size = spec.size or spec.entry.size
    side = round(SMALL_VIEW * size)
    small = _of_size(model, spec, side)
    pictures = keras.Input((size, size, 3), dtype="uint8", name="pictures")
    reduced = keras.ops.image.resize(keras.ops.cast(pictures, "float32"), (side, side))
    reduced = keras.ops.cast(keras.ops.round(reduced), "uint8")
    views = [small(reduced), model(keras.ops.flip(pictures, axis=2))]
    if spec.views == 4:
        views += [small(keras.ops.flip(reduced, axis=2)), model(pictures)]
    return keras.Model(pictures, keras.layers.Average(dtype="float32")(views))


def _of_size(model, spec, size):
    """The same network for pictures of another size."""
    with_weights = pooled_backbone(dataclasses.replace(spec.with_file(None), size=size), 0)
    with_weights.set_weights(model.get_weights())
    return keras.Model(with_weights.input, with_weights.output, name="small_view")


def dense_head(spec, width):
    """The Dense layer of `spec` on pooled vectors of `width`."""
    return networks.head(width, spec.dense, spec.pool == "average")


def joined(body, head):
    """Pictures → outputs of the head."""
    return keras.Model(body.input, head(body.output))


def head_outputs(head, vectors, block=1024):
    """Outputs (n, dense) of a head for vectors (n, F), which may be memory-mapped and larger than memory."""
    starts = range(0, len(vectors), block)
    return np.concatenate([head(np.asarray(vectors[start : start + block])).numpy() for start in starts])


def restored(spec, modality, weights):
    """The CNN of a dataset, pictures of a modality → features.

    `weights`: the file given for a frozen backbone, or left by stage I for a trained one.
    """
    if not spec.trained:
        return build_body(spec.with_file(weights), 0)
    model = build_body(spec.with_file(None), 0)
    if spec.dense:
        model = joined(model, dense_head(spec, model.output_shape[1]))
    if spec.gives_embeddings:
        model = with_system(model, bare_system(spec.objective, model.output_shape[1]), modality)
    weight_files.load(model, weights)
    return averaged_over_views(model, spec)
