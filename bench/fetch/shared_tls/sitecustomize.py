"""img2dataset makes a TLS context for each request; with this on PYTHONPATH a process makes one and shares it."""

import ssl
import urllib.request

urllib.request.install_opener(
    urllib.request.build_opener(urllib.request.HTTPSHandler(context=ssl.create_default_context()))
)
