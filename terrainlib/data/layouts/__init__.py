"""Which files of a folder belong together: by the rules of names, or as people say."""
