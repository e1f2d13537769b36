"""Loss terms that the systems share, as pure functions of tensors."""

import tensorflow as tf


def latent_loss(photo, sketch, semantic):
    """‖Img − Sem‖² + ‖Skc − Sem‖² of embeddings (batch, t), mean over the batch and over t. Scalar, ≥ 0."""
    return squared_error(photo, semantic) + squared_error(sketch, semantic)


def triplet_loss(photo, sketch, negative_photo, negative_sketch, margin):
    """max(d(Img, Skc) − d(Img, ~Skc) + margin, 0) + max(d(Skc, Img) − d(Skc, ~Img) + margin, 0), mean over the batch.

    Preset `paper` of ZSCMR. Embeddings (batch, t), d their Euclidean distance; scalar, ≥ 0.
    """
    near = distance(photo, sketch)
    far = distance(photo, negative_sketch), distance(sketch, negative_photo)
    return tf.add_n([tf.reduce_mean(tf.nn.relu(near - other + margin)) for other in far])


def decoder_loss(sketch_from_photo, sketch, photo_from_sketch, photo):
    """‖g_is(Img) − Skc‖² + ‖g_si(Skc) − Img‖² against the scaled CNN features (batch, F), mean over batch and F."""
    return squared_error(sketch_from_photo, sketch) + squared_error(photo_from_sketch, photo)


def classification_loss(photo_logits, sketch_logits, labels):
    """CE(Img) + CE(Skc): softmax cross-entropy of logits (batch, C) with labels (batch,) in 0 … C−1, in nats."""
    return cross_entropy(photo_logits, labels) + cross_entropy(sketch_logits, labels)


def all_pairs_triplet_loss(photo, sketch, labels, temperature):
    """Soft-margin triplet loss of every (anchor, positive) pair against all negatives of the batch, photos as anchors
    of sketches plus sketches as anchors of photos.

    log(1 + Σ_n exp((cos(a, n) − cos(a, p)) / temperature)), n over the candidates of other classes; mean over the
    positives p of an anchor, then over anchors. Preset `tuned` of ZSCMR, CrossATNet, PCMSN. Unit rows (batch, t), row
    i of both of class labels[i]; scalar, ≥ 0.
    """
    cosines = tf.matmul(photo, sketch, transpose_b=True) / temperature  # (batch, batch)
    same = tf.cast(labels[:, None] == labels[None, :], cosines.dtype)
    others = cosines - 1e9 * same

    def anchored(candidates):
        negatives = tf.reduce_logsumexp(others, axis=candidates, keepdims=True)
        pairs = tf.nn.softplus(negatives - cosines)
        return tf.reduce_mean(tf.reduce_sum(pairs * same, axis=candidates) / tf.reduce_sum(same, axis=candidates))

    return anchored(candidates=1) + anchored(candidates=0)


def contrastive_loss(rows, labels, temperature):
    """Supervised contrastive loss (Khosla et al. 2020) over all pairs of the batch, whatever their modalities.

    −log softmax over the other rows k of cos(i, k) / temperature, at the rows of the same class; mean over those, then
    over the rows i. Unit rows (n, t) with labels (n,), every label twice at least; scalar, ≥ 0.
    """
    itself = tf.eye(tf.shape(rows)[0])
    logits = tf.matmul(rows, rows, transpose_b=True) / temperature - 1e9 * itself
    positive = tf.cast(labels[:, None] == labels[None, :], logits.dtype) - itself
    likely = tf.reduce_sum(positive * tf.nn.log_softmax(logits, axis=1), axis=1)
    return -tf.reduce_mean(likely / tf.reduce_sum(positive, axis=1))


def crossing_loss(photo, sketch, labels, temperature):
    """Contrastive loss of photos among the sketches, and of sketches among the photos, mean of both directions.

    −log softmax over the candidates k of cos(anchor, k) / temperature, at the candidates of the anchor's class; mean
    over those, then over the anchors. Unit rows (batch, F), row i of both of class labels[i]; scalar, ≥ 0.
    """
    logits = tf.matmul(photo, sketch, transpose_b=True) / temperature
    positive = tf.cast(labels[:, None] == labels[None, :], logits.dtype)
    shares = positive / tf.reduce_sum(positive, axis=1, keepdims=True)  # symmetric: a class has as many of each
    both = (tf.nn.log_softmax(logits, axis=axis) for axis in (0, 1))
    return -tf.add_n([tf.reduce_sum(shares * likely) for likely in both]) / (2.0 * tf.cast(tf.size(labels), tf.float32))


def imitation_loss(logits, taught):
    """Softmax cross-entropy of logits (n, C) with the probabilities of a teacher's logits (n, C), mean over n, in
    nats. Scalar, ≥ 0."""
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(taught), logits))


def turning_loss(rows, taught):
    """1 − cos(row, teacher's row) of (n, F) and (n, F), mean over n. Scalar, from 0 to 2."""
    rows, taught = tf.math.l2_normalize(rows, axis=1), tf.math.l2_normalize(taught, axis=1)
    return 1 - tf.reduce_mean(tf.reduce_sum(rows * taught, axis=1))


def cross_entropy(logits, labels):
    """Softmax cross-entropy of logits (batch, C) with labels (batch,), mean over the batch, in nats. Scalar, ≥ 0.

    Labels are spread out first: on a CPU the operation that takes them as numbers is half as fast.
    """
    wanted = tf.one_hot(labels, logits.shape[-1])
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, logits))


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


@tf.custom_gradient
def distance(a, b):
    """Euclidean distance of rows, (batch, t) × (batch, t) → (batch,), at least 1e-6; equal rows have a gradient of 0.

    The gradient is written out, for the derived one takes twice the passes over memory.
    """
    difference = a - b
    length = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(difference), axis=-1), 1e-12))

    def gradient(upstream):
        by_a = difference * (upstream / length)[:, None]
        return by_a, -by_a

    return length, gradient
