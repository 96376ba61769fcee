"""How each kind of image file is opened, checked and decoded."""
