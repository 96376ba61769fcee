"""Everything that is wanted of an image, made in one pass over it."""
