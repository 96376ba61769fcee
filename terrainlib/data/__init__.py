"""The loader: pictures, class masks, palettes, data sets, splits and samples."""
