# casae as a service, for a machine without Python. Read-only, as a user without rights, everything in /data:
#
#   docker build -t casae .
#   docker run --read-only --tmpfs /tmp -v casae:/data -e TZ=Europe/Berlin -p 127.0.0.1:8000:8000 casae
#
# It listens on all addresses of the container, so whoever comes must sign in: make a user first,
#
#   docker run -it --rm -v casae:/data casae users add ann --role admin --home /data
#
# EXTRAS=serve,postgres,train brings training along, which is 2 GB more.
FROM python:3.12-slim AS build
ARG EXTRAS=serve,postgres
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/casae \
    && /opt/casae/bin/pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin casae \
    && install -d -o casae -g casae /data
COPY --from=build /opt/casae /opt/casae
ENV PATH=/opt/casae/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CASAE_CACHE=/data/cache \
    CASAE_SERVE_LOG=json
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["casae"]
CMD ["serve", "--home", "/data", "--host", "0.0.0.0"]
