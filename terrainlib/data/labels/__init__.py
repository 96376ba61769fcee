"""Labels of scenes: class rasters, polygons, lines and points, cut into data sets."""
