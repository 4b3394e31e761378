"""Reports: self-contained pages that need no network, and the shelf they are kept on."""
