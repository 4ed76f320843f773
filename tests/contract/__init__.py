"""One suite per port: what it promises, on every adapter and on the fake."""
