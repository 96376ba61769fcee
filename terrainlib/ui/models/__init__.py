"""What the pages show of models: cards, choice, upload, pixel classifiers."""
