"""The processes that work for a driver."""
