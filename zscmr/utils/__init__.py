"""What any program needs of the machine: errors, console, files, options, command lines, processes, seeds.

Knows nothing of pictures, classes or networks.
"""
