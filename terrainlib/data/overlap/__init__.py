"""The search for overlaps: features, geometry, matching, decision."""
