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


def train(backbone, tree, seen, settings, say):
    """Trains the backbone with a softmax over the seen classes and returns it without the softmax.

    `tree` holds pictures of seen classes only; `seen` their class indices.
    """
    keras.utils.set_random_seed(settings.seed)
    model = backbone.build(settings.weights)
    classifier = keras.Sequential([model, layers.Dropout(0.5), layers.Dense(len(seen))])
    steps = pictures.batches_of(len(tree.files), settings.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10, settings.epochs * steps, warmup_target=settings.learning_rate, warmup_steps=steps
    )
    classifier.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    targets = np.searchsorted(seen, tree.labels)
    stream = training_stream(tree.paths(), targets, backbone.size, settings.batch_size, settings.seed)
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: say(
            f"  epoch {epoch + 1}/{settings.epochs}  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.3f}"
        )
    )
    classifier.fit(stream, epochs=settings.epochs, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[report])
    return model


def training_stream(paths, targets, size, batch, seed):
    """Shuffled batches of (pictures, targets), without end; unreadable pictures never enter."""
    decoded = pictures.decoded(paths, size)
    stream = tf.data.Dataset.zip(decoded, tf.data.Dataset.from_tensor_slices(targets))
    stream = stream.filter(lambda image, target: image[1]).map(lambda image, target: (image[0], target))
    if len(paths) * size * size * 3 < CACHE_BYTES:
        stream = stream.cache()
    stream = stream.shuffle(min(len(paths), 8192), seed=seed).repeat()
    return stream.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
