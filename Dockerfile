# One image for all components: exactly the packages of requirements.lock, without tests' tools, build tools and git.
# A digest is what its tag meant when it was written down; renew both together (docs/cookbook/containers.md).
FROM python:3.13.13-slim-bookworm@sha256:355bfa66770995d7e9a0da4b3473b44d0cb451f6b56f5615ad9c39e3c4eca03f AS build

WORKDIR /opt/teilhabe
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
    && pip install --no-cache-dir --no-deps --require-hashes --target /opt/build -r requirements-build.lock
COPY . .
RUN PYTHONPATH=/opt/build /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index --editable . \
    && /opt/venv/bin/python -m compileall -q plugins dags \
    && /opt/venv/bin/pip uninstall --quiet --yes pip

FROM python:3.13.13-slim-bookworm@sha256:355bfa66770995d7e9a0da4b3473b44d0cb451f6b56f5615ad9c39e3c4eca03f

# Volumes take over owner and rights from here when they are first mounted.
RUN useradd --uid 50000 --user-group --no-create-home --home-dir /var/lib/teilhabe teilhabe \
    && install -d -m 0700 -o teilhabe -g teilhabe /var/lib/teilhabe /var/lib/teilhabe/secrets /run/hand-out \
       /run/hand-out/api-server /run/hand-out/scheduler /run/hand-out/dag-processor /run/hand-out/triggerer

COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/teilhabe /opt/teilhabe

# What judged and built a number is recorded; without a build id it is a digest of the files.
ARG TEILHABE_BUILD_ID=""
ENV TEILHABE_BUILD_ID=${TEILHABE_BUILD_ID} \
    TEILHABE_HOME=/var/lib/teilhabe \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /opt/teilhabe
USER 50000:50000
ENTRYPOINT ["python", "-m", "teilhabe.airflow.containers"]
