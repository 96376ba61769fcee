"""The mask studio: images in, their masks live, files out."""
