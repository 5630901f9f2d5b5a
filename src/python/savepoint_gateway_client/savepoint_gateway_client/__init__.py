"""Lets a Jupyter server pass on everything that a Savepoint gateway sends, binary messages included.

    pip install savepoint-gateway-client
    jupyter lab --gateway-url=http://127.0.0.1:8890 \\
        --ServerApp.kernel_websocket_connection_class=savepoint_gateway_client.Connection

Without it the server speaks to gateways in text alone, and widgets and plots that send buffers stay empty.
"""

from .connection import Connection

__all__ = ["Connection"]
__version__ = "0.1.0"
