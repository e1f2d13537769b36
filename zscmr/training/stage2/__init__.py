"""Stage II: CNN features to one embedding space, for every system of `models`."""
