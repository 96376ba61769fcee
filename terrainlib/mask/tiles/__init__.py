"""Predicting tile by tile: from an image of any size to finished rows of its mask."""
