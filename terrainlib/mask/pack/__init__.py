"""The world-builder's pack."""
