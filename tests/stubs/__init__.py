"""Small servers that speak the protocols of services we call."""
