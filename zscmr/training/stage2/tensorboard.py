"""TensorBoard's files of a run, where TensorBoard is installed: scalars of each epoch, and the embedding projector."""

import importlib.util


class ScalarLog:
    """Scalars of each epoch under RUN/tensorboard."""

    def __init__(self, folder):
        import tensorflow as tf

        self.summary = tf.summary
        self.writer = tf.summary.create_file_writer(str(folder))

    def scalars(self, line):
        with self.writer.as_default():
            for name, value in line.items():
                if name != "epoch":
                    self.summary.scalar(name, value, step=line["epoch"])
            self.writer.flush()


def is_installed():
    return importlib.util.find_spec("tensorboard") is not None


def open_log(run):
    """A `ScalarLog` in the run directory, or None where TensorBoard is not installed."""
    return ScalarLog(run / "tensorboard") if is_installed() else None


def write_projector(run, features):
    """Write vectors, labels and config of TensorBoard's embedding projector, for the evaluated embeddings."""
    folder = run / "tensorboard"
    folder.mkdir(exist_ok=True)
    with (
        open(folder / "vectors.tsv", "w", encoding="utf-8") as vectors,
        open(folder / "labels.tsv", "w", encoding="utf-8") as labels,
    ):
        labels.write("class\tmodality\n")
        for modality, items in (("photo", features.photo), ("sketch", features.sketch)):
            for vector, label in zip(items.vectors, items.labels, strict=True):
                vectors.write("\t".join(f"{value:.6g}" for value in vector) + "\n")
                labels.write(f"{features.class_name(label)}\t{modality}\n")
    (folder / "projector_config.pbtxt").write_text(
        'embeddings {\n  tensor_name: "shared space, unseen classes"\n  tensor_path: "vectors.tsv"\n'
        '  metadata_path: "labels.tsv"\n}\n',
        encoding="utf-8",
    )
