"""Disks that fail and workers that die, and what must be left afterwards."""
