"""Terrain masks from satellite images: loader, U-Net, training and post-processing.

Importing this package loads neither TensorFlow nor Streamlit. It closes GDAL's and
OpenCV's side doors before either library is loaded anywhere in the process: files can
then name neither other files nor network addresses to be opened in their place.
"""

import os

from terrainlib.gdal import CLOSED, GDAL_SKIP

_ENVIRONMENT = {
    "OPENCV_IO_MAX_IMAGE_PIXELS": "100000000",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
# Whatever it was: this is no matter of taste.
os.environ.update(CLOSED, GDAL_SKIP=GDAL_SKIP)

__version__ = "0.1.0"
