"""The Celery door: a worker that consumes the stage queues of SQS."""
