"""What keeps the promises of the ports: the only code that knows AWS, OpenSearch, OpenAI and SQLite."""
