"""Records: what runs leave on disk, and the locks that protect it."""
