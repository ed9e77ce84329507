"""A polite crawl in rounds, to WARC files."""
