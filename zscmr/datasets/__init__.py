"""What systems are trained and measured on: pictures, drawings, classes, word vectors, and index batches of them.

Reading and checking of users' data as NumPy arrays belong here. The bytes of .mat files and run directories are in
`formats`, features and embeddings of pictures in `backbones` and `inference`; nothing here imports TensorFlow.
"""
