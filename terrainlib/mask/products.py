"""What people want of an image, made in one pass over it, whatever its size."""

from terrainlib.mask._product_records import Made, Wanted

__all__ = ["Made", "Wanted"]
