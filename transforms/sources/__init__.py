"""Where candidates come from. A source is one file."""
