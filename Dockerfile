# The app without a GPU and not as root; all that it keeps lies in /data.
FROM python:3.11-slim

# libexpat1: GDAL in rasterio's wheel links to it
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 terrain \
    && install --directory --owner=terrain /data

WORKDIR /app
COPY requirements.txt requirements-auth.txt requirements-onnx.txt ./
RUN pip install --no-cache-dir \
    -r requirements.txt -r requirements-auth.txt -r requirements-onnx.txt
COPY .streamlit .streamlit
COPY pages pages
COPY terrainlib terrainlib
COPY streamlit_app.py ./

USER 1000
ENV PYTHONUNBUFFERED=1 \
    TERRAINLIB_HOME=/data \
    TERRAINLIB_MODE=demo \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_HEADLESS=true
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "from urllib.request import urlopen as u; u('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "streamlit_app.py"]
