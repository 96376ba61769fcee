"""Polygons of masks, and the files that hold them."""
