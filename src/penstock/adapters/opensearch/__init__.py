"""What the OpenSearch index is made of."""
