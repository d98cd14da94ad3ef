"""One file for each kind of source; `isthmus.head.source` opens them by name."""
