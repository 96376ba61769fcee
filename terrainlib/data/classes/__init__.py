"""What the masks of a data set mean, and how they are read as class indices."""
