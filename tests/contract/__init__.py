"""One suite for each port tests what the port promises, on every adapter and on the fake."""
