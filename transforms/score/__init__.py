"""Images to scores."""
