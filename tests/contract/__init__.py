"""One suite per port, which every adapter and the fake must pass."""
