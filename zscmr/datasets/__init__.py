"""What systems are trained and measured on: pictures, drawings, classes, word vectors, and batches of them.

NumPy arrays and checks. No network and no TensorFlow.
"""
