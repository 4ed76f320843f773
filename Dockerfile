# The worker: Celery on the stage queues, as ECS runs it. docker build --platform linux/arm64 -t penstock-worker .
FROM python:3.13-slim
# The reader's child processes and the worker need no more rights than a user's.
RUN useradd --system --create-home penstock
WORKDIR /opt/penstock
COPY requirements/build.txt requirements/worker.txt requirements/
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements/build.txt -r requirements/worker.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --disable-pip-version-check --no-build-isolation --no-deps .
USER penstock
ENV PYTHONUNBUFFERED=1
# SIGTERM to this process is the beginning of a warm shutdown: no shell stands between.
ENTRYPOINT ["python", "-m", "penstock.worker"]
