"""Loss terms that the systems share, as pure functions of tensors.

Most are means over the rows they are given, one replica's. A loss over all pairs of the batch takes `gather` and brings
the rows of all replicas together itself.
"""

import tensorflow as tf


def latent_loss(photo, sketch, semantic):
    """‖Img − Sem‖² + ‖Skc − Sem‖² of embeddings (batch, t), mean over the batch and over t. Scalar, ≥ 0."""
    return squared_error(photo, semantic) + squared_error(sketch, semantic)


def triplet_loss(photo, sketch, negative_photo, negative_sketch, margin):
    """max(d(Img, Skc) − d(Img, ~Skc) + margin, 0) + max(d(Skc, Img) − d(Skc, ~Img) + margin, 0), mean over the batch.

    Preset `paper` of ZSCMR. Embeddings (batch, t), d their Euclidean distance; scalar, ≥ 0.
    """
    near = euclidean_distance(photo, sketch)
    far = euclidean_distance(photo, negative_sketch), euclidean_distance(sketch, negative_photo)
    return tf.add_n([tf.reduce_mean(tf.nn.relu(near - distance + margin)) for distance in far])


def decoder_loss(sketch_from_photo, sketch, photo_from_sketch, photo):
    """‖g_is(Img) − Skc‖² + ‖g_si(Skc) − Img‖² against the scaled CNN features (batch, F), mean over batch and F."""
    return squared_error(sketch_from_photo, sketch) + squared_error(photo_from_sketch, photo)


def classification_loss(photo_logits, sketch_logits, labels):
    """CE(Img) + CE(Skc): softmax cross-entropy of logits (batch, C) with labels (batch,) in 0 … C−1, in nats."""
    return cross_entropy(photo_logits, labels) + cross_entropy(sketch_logits, labels)


def all_pairs_triplet_loss(photo, sketch, labels, temperature, gather):
    """Soft-margin triplet loss of every (anchor, positive) pair against all negatives of the batch.

    log(1 + Σ_n exp((cos(a, n) − cos(a, p)) / temperature)), n over the candidates of other classes; mean over the
    positives p of an anchor, then over anchors. Photos as anchors of sketches plus sketches as anchors of photos.
    Preset `tuned` of ZSCMR, CrossATNet, PCMSN. Scalar, ≥ 0.

    Args:
        photo, sketch: a replica's unit rows (batch / replicas, t).
        labels: class of row i of both, (batch / replicas,) int32.
        temperature: > 0, divides the cosines.
        gather: `Gather`.
    """
    photo, sketch, labels = gather(photo), gather(sketch), gather(labels)
    cosines = tf.matmul(photo, sketch, transpose_b=True) / temperature  # (batch, batch)
    pos_mask = tf.cast(labels[:, None] == labels[None, :], cosines.dtype)
    negatives = cosines - 1e9 * pos_mask

    def of_anchors(axis):
        """The loss with the candidates along `axis`."""
        margins = tf.nn.softplus(tf.reduce_logsumexp(negatives, axis=axis, keepdims=True) - cosines)
        return tf.reduce_mean(tf.reduce_sum(margins * pos_mask, axis=axis) / tf.reduce_sum(pos_mask, axis=axis))

    return of_anchors(axis=1) + of_anchors(axis=0)


def contrastive_loss(embeddings, labels, temperature, gather):
    """Supervised contrastive loss (Khosla et al. 2020) over all pairs of the batch, whatever their modalities.

    −log softmax over the other rows k of cos(i, k) / temperature, at the rows of the same class; mean over those, then
    over the rows i. Scalar, ≥ 0.

    Args:
        embeddings: a replica's unit rows (n / replicas, t).
        labels: their classes (n / replicas,), each at least twice in the batch.
        temperature: > 0, divides the cosines.
        gather: `Gather`.
    """
    embeddings, labels = gather(embeddings), gather(labels)
    diagonal = tf.eye(tf.shape(embeddings)[0])
    logits = tf.matmul(embeddings, embeddings, transpose_b=True) / temperature - 1e9 * diagonal
    pos_mask = tf.cast(labels[:, None] == labels[None, :], logits.dtype) - diagonal
    log_prob = tf.nn.log_softmax(logits, axis=1)
    mean_log_prob_pos = tf.reduce_sum(pos_mask * log_prob, axis=1) / tf.reduce_sum(pos_mask, axis=1)
    return -tf.reduce_mean(mean_log_prob_pos)


def cross_modal_contrastive_loss(photo, sketch, labels, temperature, gather):
    """Contrastive loss of photos among the sketches, and of sketches among the photos, mean of both directions.

    −log softmax over the candidates k of cos(anchor, k) / temperature, at the candidates of the anchor's class; mean
    over those, then over the anchors. Scalar, ≥ 0.

    Args:
        photo, sketch: a replica's unit rows (batch / replicas, F).
        labels: class of row i of both, (batch / replicas,) int32.
        temperature: > 0, divides the cosines.
        gather: `Gather`.
    """
    photo, sketch, labels = gather(photo), gather(sketch), gather(labels)
    logits = tf.matmul(photo, sketch, transpose_b=True) / temperature
    pos_mask = tf.cast(labels[:, None] == labels[None, :], logits.dtype)
    pos_share = pos_mask / tf.reduce_sum(pos_mask, axis=1, keepdims=True)  # symmetric: a class has as many of each
    log_probs = (tf.nn.log_softmax(logits, axis=axis) for axis in (0, 1))
    total = tf.add_n([tf.reduce_sum(pos_share * log_prob) for log_prob in log_probs])
    return -total / (2.0 * tf.cast(tf.size(labels), tf.float32))


def soft_cross_entropy(logits, teacher_logits):
    """Softmax cross-entropy of logits (n, C) with a teacher's probabilities, mean over n, in nats. Scalar, ≥ 0."""
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(teacher_logits), logits))


def cosine_loss(features, teacher_features):
    """1 − cos(row, teacher's row) of features (n, F), mean over n. Scalar, from 0 to 2."""
    features, teacher_features = (tf.math.l2_normalize(rows, axis=1) for rows in (features, teacher_features))
    return 1 - tf.reduce_mean(tf.reduce_sum(features * teacher_features, axis=1))


def cross_entropy(logits, labels):
    """Softmax cross-entropy of logits (batch, C) with labels (batch,), mean over the batch, in nats. Scalar, ≥ 0.

    One-hot labels, since the sparse operation takes twice the time on a CPU.
    """
    one_hot = tf.one_hot(labels, logits.shape[-1])
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(one_hot, logits))


def batch_mean_triplet_loss(anchor, positive, negative, margin, gather):
    """The released triplet: max(mean d(anchor, positive) − mean d(anchor, negative) + margin, 0).

    The means are over the whole batch, outside of the hinge. Scalar, ≥ 0.

    Args:
        anchor, positive, negative: a replica's embeddings (batch / replicas, t).
        margin: in units of Euclidean distance.
        gather: `Gather`.
    """
    near, far = (gather.mean(tf.reduce_mean(euclidean_distance(anchor, rows))) for rows in (positive, negative))
    return tf.nn.relu(near - far + margin)


def frobenius(matrix):
    """‖matrix‖_F, not squared; a floor keeps the gradient finite at zero."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(matrix)), 1e-12))


def squared_error(a, b):
    """Mean over all elements of (a − b)²."""
    # l2_loss takes one pass over memory forward and one backward
    return tf.nn.l2_loss(a - b) * (2.0 / tf.cast(tf.size(a), tf.float32))


@tf.custom_gradient
def euclidean_distance(a, b):
    """Euclidean distance of rows, (batch, t) × (batch, t) → (batch,), at least 1e-6; equal rows have a gradient of 0.

    The derived gradient would take twice the passes over memory.
    """
    difference = a - b
    length = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(difference), axis=-1), 1e-12))

    def gradient(upstream):
        by_a = difference * (upstream / length)[:, None]
        return by_a, -by_a

    return length, gradient
