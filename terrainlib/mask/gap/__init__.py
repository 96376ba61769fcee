"""Whether an image looks like those that a model was trained on."""
