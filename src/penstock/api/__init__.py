"""The HTTPS door: FastAPI routes that translate, call one verb, and translate back."""
