"""What the pages show of data sets: choice, contents, shared ground, splits."""
