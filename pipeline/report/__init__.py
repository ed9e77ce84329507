"""The report of a run: report.NAME.html and stats.NAME.json of each selection."""
