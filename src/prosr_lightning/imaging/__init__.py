"""Image mathematics and files: arrays in, arrays out."""
