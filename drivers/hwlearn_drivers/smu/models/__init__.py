"""One file per family of source-measure units."""
