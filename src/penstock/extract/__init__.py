"""Extract: read files. One module per format; `child` is the only process that opens them, `reader` its parent (I11)."""
