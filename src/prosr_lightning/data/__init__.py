"""Files, splits, patches and loaders. No image mathematics of its own."""
