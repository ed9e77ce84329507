"""The report of a run: report.html, stats.json."""
