"""The files of users: reading, writing, formats, metadata, kinds of images, recoloring, comparison."""
