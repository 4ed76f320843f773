# The worker: Celery on the stage queues, as ECS runs it. docker build --platform linux/arm64 -t penstock-worker .

# Any image with Python 3.11 or newer and its pip, of which only the first stage makes use.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
# The locked libraries; requirements/local.txt has the embedder that needs no provider, where it has a wheel.
ARG REQUIREMENTS=requirements/worker.txt
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv --without-pip /opt/penstock
COPY requirements requirements
RUN python3 -m pip --python /opt/penstock/bin/python install -r requirements/build.txt -r ${REQUIREMENTS}
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python3 -m pip --python /opt/penstock/bin/python install --no-build-isolation --no-deps . \
 && python3 -m pip --python /opt/penstock/bin/python uninstall --yes -r requirements/build.txt

FROM ${BASE}
# The reader's child processes and the worker need no more rights than a user's.
RUN useradd --system --uid 900 --create-home penstock
COPY --from=build /opt/penstock /opt/penstock
USER penstock
WORKDIR /home/penstock
ENV PYTHONUNBUFFERED=1
# SIGTERM to this process is the beginning of a warm shutdown: no shell stands between.
ENTRYPOINT ["/opt/penstock/bin/python", "-m", "penstock.worker"]
