"""Masks as pictures and GeoTIFFs."""
