"""Model files as data: opened, checked layer by layer, read and written."""
