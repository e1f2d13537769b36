"""Loss terms that the systems share, as pure functions of tensors."""

import tensorflow as tf


def latent_loss(photo, sketch, semantic):
    """‖Img − Sem‖² + ‖Skc − Sem‖² of embeddings (batch, t), mean over the batch and over t. Scalar, ≥ 0."""
    return squared_error(photo, semantic) + squared_error(sketch, semantic)


def triplet_loss(anchor, positive, negative, margin):
    """max(d(anchor, positive) − d(anchor, negative) + margin, 0) per sample, mean over the batch; d is Euclidean.

    Arguments (batch, t); scalar, ≥ 0.
    """
    return tf.reduce_mean(tf.nn.relu(distance(anchor, positive) - distance(anchor, negative) + margin))


def decoder_loss(sketch_from_photo, sketch, photo_from_sketch, photo):
    """‖g_is(Img) − Skc‖² + ‖g_si(Skc) − Img‖² against the scaled CNN features (batch, F), mean over batch and F."""
    return squared_error(sketch_from_photo, sketch) + squared_error(photo_from_sketch, photo)


def classification_loss(photo_logits, sketch_logits, labels):
    """CE(Img) + CE(Skc): softmax cross-entropy of logits (batch, C) with labels (batch,) in 0 … C−1, in nats."""
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
    return tf.reduce_mean(entropy(labels, photo_logits)) + tf.reduce_mean(entropy(labels, sketch_logits))


def all_pairs_loss(photo, sketch, labels, temperature):
    """Soft-margin triplet loss of every (anchor, positive) pair against all negatives of the batch, photos as anchors
    of sketches plus sketches as anchors of photos.

    log(1 + Σ_n exp((cos(a, n) − cos(a, p)) / temperature)), n over the candidates of other classes; mean over the
    positives p of an anchor, then over anchors. Unit rows (batch, t), row i of both of class labels[i]; scalar, ≥ 0.
    """
    cosines = tf.matmul(photo, sketch, transpose_b=True) / temperature  # (batch, batch)
    same = tf.cast(labels[:, None] == labels[None, :], cosines.dtype)
    others = cosines - 1e9 * same

    def anchored(candidates):
        negatives = tf.reduce_logsumexp(others, axis=candidates, keepdims=True)
        pairs = tf.nn.softplus(negatives - cosines)
        return tf.reduce_mean(tf.reduce_sum(pairs * same, axis=candidates) / tf.reduce_sum(same, axis=candidates))

    return anchored(candidates=1) + anchored(candidates=0)


def batch_mean_triplet_loss(anchor, positive, negative, margin):
    """The released triplet: max(mean d(anchor, positive) − mean d(anchor, negative) + margin, 0), means over the batch.

    Arguments (batch, t); scalar, ≥ 0.
    """
    gap = tf.reduce_mean(distance(anchor, positive)) - tf.reduce_mean(distance(anchor, negative))
    return tf.nn.relu(gap + margin)


def frobenius(matrix):
    """‖matrix‖_F, not squared; the floor keeps its gradient finite at zero."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(matrix)), 1e-12))


def squared_error(a, b):
    """Mean over all elements of (a − b)²; as half a sum it takes one pass forward and one backward."""
    return tf.nn.l2_loss(a - b) * (2.0 / tf.cast(tf.size(a), tf.float32))


def distance(a, b):
    """Euclidean distance of rows, (batch, t) × (batch, t) → (batch,); the floor keeps its gradient finite at zero."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.math.squared_difference(a, b), axis=-1), 1e-12))
