"""Names of the files of a dataset directory and of the variables in them, as released (FIDELITY.md, "Files")."""

#: modality -> its files and variables in a dataset directory, as released
FILES = {
    "photo": {
        "features": ("imagematnew.mat", "feature"),
        "labels": ("label_im.mat", "label_im"),
        "names": ("names_images.mat", "data"),
    },
    "sketch": {
        "features": ("sketchmatnew.mat", "feature"),
        "labels": ("label_sk.mat", "label_sk"),
        "names": ("names_sketches.mat", "data3"),
    },
}

MODALITIES = tuple(FILES)

CLASS_VECTORS = ("wv_embeddings.mat", "features")

CLASS_GRAPH = ("mst_graph.mat", "edge")

CLASSIFIER = ("classifier.mat", "kernel")  # of the backbone, on the features

PAIRS = ("dataset2.mat", "datamat2")  # the sketches of each photo

PICTURES = "pictures.json"  # how the features were made: folders, backbone, classes the CNNs were trained on
