# One image for all components. Packages are exactly those of requirements.lock.
FROM python:3.13-slim-bookworm

RUN useradd --uid 50000 --create-home teilhabe \
    && install -d -o teilhabe -g teilhabe /var/lib/teilhabe

WORKDIR /opt/teilhabe
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index --editable .

USER teilhabe
ENV TEILHABE_HOME=/var/lib/teilhabe PYTHONUNBUFFERED=1
VOLUME /var/lib/teilhabe
ENTRYPOINT ["python", "-m", "teilhabe.airflow.services"]
