"""The application: command line, configuration, stages, engine, manifests, reports."""

__version__ = "0.1.0"
