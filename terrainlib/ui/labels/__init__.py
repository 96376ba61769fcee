"""Labels painted on an image: the page where that is done."""
