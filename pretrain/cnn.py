"""Trains one CNN on the pictures of one modality, and turns pictures into features with it."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from cli import track
from pretrain import pictures

CACHE_BYTES = 2**31  # decoded pictures are kept in memory between epochs up to this size


def extract(model, size, paths, batch, label):
    """Features (n, F) float32 of the pictures at `paths`, and which of them were readable (n,) bool.

    Each picture passes the model once; decoding runs ahead of it.
    """
    apply = tf.function(lambda pictures: model(pictures, training=False))
    stream = pictures.decoded(paths, size).batch(batch).prefetch(tf.data.AUTOTUNE)
    features, readable = [], []
    for images, good in track(stream, f"{label}: features", total=pictures.batches_of(len(paths), batch)):
        features.append(apply(images).numpy())
        readable.append(good.numpy())
    return np.concatenate(features).astype(np.float32), np.concatenate(readable)


def train(backbone, tree, seen, settings, seed, say):
    """Trains the backbone with a softmax over the seen classes and returns it without the softmax.

    `tree` holds pictures of seen classes only; `seen` their class indices.
    """
    keras.utils.set_random_seed(seed)
    model = backbone.build(settings.weights)
    classifier = keras.Sequential([model, layers.Dropout(0.2), layers.Dense(len(seen))])
    steps = pictures.batches_of(len(tree.files), settings.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10, settings.epochs * steps, warmup_target=settings.learning_rate, warmup_steps=steps
    )
    classifier.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-2),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy"],
    )
    targets = np.eye(len(seen), dtype=np.float32)[np.searchsorted(seen, tree.labels)]
    stream = training_stream(tree.paths(), targets, backbone.size, settings.batch_size, seed)
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: say(
            f"  epoch {epoch + 1}/{settings.epochs}  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.3f}"
        )
    )
    classifier.fit(stream, epochs=settings.epochs, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[report])
    return model


def training_stream(paths, targets, size, batch, seed):
    """Shuffled, warped batches of (pictures, targets), without end; unreadable pictures never enter."""
    decoded = pictures.decoded(paths, size)
    stream = tf.data.Dataset.zip(decoded, tf.data.Dataset.from_tensor_slices(targets))
    stream = stream.filter(lambda image, target: image[1]).map(lambda image, target: (image[0], target))
    if len(paths) * size * size * 3 < CACHE_BYTES:
        stream = stream.cache()
    stream = stream.shuffle(min(len(paths), 8192), seed=seed).repeat().batch(batch, drop_remainder=True)
    return (
        stream.enumerate()
        .map(
            lambda step, data: (warped(data[0], tf.stack([seed, tf.cast(step, tf.int32)])), data[1]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def warped(images, seed, turn=0.2, scale=0.1, shear=0.1, shift=0.08):
    """uint8 images (batch, size, size, 3), each turned (rad), scaled, sheared and shifted (of its side) at random.

    The borders are continued outwards. The warp is a function of `seed` (2,); sketch strokes stay whole.
    """
    count, size = images.shape[0], images.shape[1]
    limits = tf.constant([turn, scale, shear, shift * size, shift * size])
    draws = tf.random.stateless_uniform((5, count), seed, -1.0, 1.0) * limits[:, None]
    angle, growth, slant, right, down = tf.unstack(draws)
    cos, sin = tf.cos(angle) * (1 + growth), tf.sin(angle) * (1 + growth)
    middle = (size - 1) / 2
    zero = tf.zeros(count)
    rows = [
        cos, slant - sin, middle * (1 - cos + sin - slant) + right,
        sin, cos, middle * (1 - sin - cos) + down,
        zero, zero,
    ]  # fmt: skip
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, axis=1),
        output_shape=[size, size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
