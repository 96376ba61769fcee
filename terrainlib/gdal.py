"""What of GDAL stays closed: drivers, files beside a raster, and the network.

Left on are the drivers GTiff, COG, PNG, JPEG, GPKG, GeoJSON, Shapefile and the two that
keep data in memory. Many of the others reach out for other files or for the network
when they open a file (VRT, WMS, WCS, HTTP, STACIT ...). The list holds every driver
that rasterio's wheels bring; a test compares it with the drivers that are really there.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final

_SKIPPED: Final = """
AAIGrid, ACE2, ADRG, AIG, AVCBin, AVCE00, AirSAR, BAG, BIGGIF, BLX, BMP, BSB, BT, BYN,
CALS, CEOS, COASP, COSAR, CPG, CTG, CTable2, DAAS, DERIVED, DIMAP, DIPEx, DOQ1, DOQ2,
DTED, ECRGTOC, EEDA, EEDAI, EHdr, EIR, ELAS, ENVI, ERS, ESAT, ESRIC,
ESRIJSON, FAST, FIT, GFF, GIF, GNMDatabase, GNMFile, GRASSASCIIGrid, GRIB, GS7BG,
GSAG, GSBG, GSC, GTI, GTX, GXF, GenBin, GeoJSONSeq, HDF5, HDF5Image, HF2, HFA, HTTP,
ILWIS, IRIS, ISCE, ISG, ISIS2, ISIS3, JAXAPALSAR, JDEM, JP2OpenJPEG, KMLSUPEROVERLAY,
KRO, L1B, LAN, LCP, LOSLAS, Leveller, MAP, MBTiles, MFF, MFF2, MRF, MSGN,
MVT, NDF, NGSGEOID, NITF, NOAA_B, NSIDCbin, NTv2, NWT_GRC, NWT_GRD, OSM,
OZI, PAux, PCIDSK, PCRaster, PDF, PDS, PDS4, PLMOSAIC, PNM, PRF, R, RIK, RMF,
ROI_PAC, RPFTOC, RRASTER, RS2, RST, Rasterlite, S102, S104, S111, SAFE, SAGA, SAR_CEOS,
SDTS, SENTINEL2, SGI, SIGDEM, SNAP_TIFF, SNODAS, SQLite, SRP, SRTMHGT, STACIT, STACTA,
TGA, TIL, TSX, Terragen, TopoJSON, USGSDEM, VICAR, VRT, WCS, WEBP, WMS, WMTS, XPM, XYZ,
ZMap, Zarr, netCDF
"""

# New with the GDAL of rasterio 1.5; an older one complains of names it does not know.
_SKIPPED_LATER: Final = "GDALG, LIBERTIFF, MiraMonRaster, RCM"

# The library for vector files brings a GDAL of its own, with other drivers.
_SKIPPED_VECTOR: Final = """
ADBC, AIVector, AmigoCloud, Arrow, CAD, CSV, CSW, Carto, DGN, DXF, EDIGEO,
Elasticsearch, FlatGeobuf, GML, GMLAS, GPSBabel, GPX, GTFS, GeoRSS, Geoconcept, HANA,
Idrisi, Interlis 1, Interlis 2, JML, JSONFG, KML, LIBKML, LVBAG, MSSQLSpatial,
MapInfo File, MapML, MiraMonVector, MongoDBv3, MySQL, NAS, NGW, OAPIF, OCI, ODBC, ODS,
OGCAPI, OGR_GMT, OGR_PDS, OGR_VRT, OpenFileGDB, PGDUMP, PGeo, PLSCENES, PMTiles,
Parquet, PostgreSQL, S57, SOSI, SVG, SXF, Selafin, TIGER, UK .NTF, VDV, VFK, WAsP, WFS,
XLS, XLSX, XODR
"""


def _names(listed: str) -> str:
    return ",".join(" ".join(name.split()) for name in listed.split(","))


_RASTERIO: Final = tuple(int(part) for part in version("rasterio").split(".")[:2])
_KNOWN: Final = f"{_SKIPPED}, {_SKIPPED_LATER}" if _RASTERIO >= (1, 5) else _SKIPPED
GDAL_SKIP: Final = _names(_KNOWN)
GDAL_SKIP_VECTOR: Final = _names(f"{_SKIPPED}, {_SKIPPED_LATER}, {_SKIPPED_VECTOR}")

# Process-wide, and again wherever GDAL is put to work.
CLOSED: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no side-car files (.ovr, .msk, .aux)
    "GDAL_PAM_ENABLED": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",  # whatever an address ends with
    "PROJ_NETWORK": "OFF",
}

_SILENT: Final = {"GDAL_SKIP": GDAL_SKIP_VECTOR, "CPL_LOG": os.devnull}
OGR_LOCK: Final = threading.Lock()  # one thread at a time works with vector files


def load_ogr() -> Any:
    """Return pyogrio, for GeoPackage, GeoJSON and Shapefile and nothing else."""
    with OGR_LOCK:
        if "pyogrio" not in sys.modules:
            import rasterio

            with rasterio.Env(), _environment(_SILENT):
                import pyogrio
        import pyogrio.raw
    return pyogrio


def ogr_errors() -> tuple[type[Exception], ...]:
    """Return what pyogrio raises for files that it cannot read or write."""
    errors = load_ogr().errors
    return (
        errors.DataSourceError,
        errors.DataLayerError,
        errors.FeatureError,
        errors.GeometryError,
        errors.CRSError,
    )


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
