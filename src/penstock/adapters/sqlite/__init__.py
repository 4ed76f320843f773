"""What the embedded index is made of: a file per tenant, and its vectors in memory."""
