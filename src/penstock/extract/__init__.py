"""Extract: one module per format; `child` is the only process that opens files, `reader` is its parent (I11)."""
