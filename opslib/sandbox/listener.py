"""The listening socket, which can also hang up on one client: hypercorn has no way for an app to drop a connection."""

import contextlib
import socket
import weakref

from hypercorn.config import Config, Sockets


class Listener(socket.socket):
    """A socket on 127.0.0.1 that remembers the connections it accepted."""

    def __init__(self, port: int) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.bind(("127.0.0.1", port))
        self.setblocking(False)
        self._accepted: weakref.WeakValueDictionary[tuple[str, int], socket.socket] = weakref.WeakValueDictionary()

    @property
    def port(self) -> int:
        """Return the port that it got."""
        return int(self.getsockname()[1])

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept one connection and remember it as long as it lives."""
        connection, address = super().accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted[address] = connection
        return connection, address

    def hang_up(self, client: tuple[str, int]) -> None:
        """Close a client's connection in the middle of whatever it waits for."""
        connection = self._accepted.get(tuple(client))
        if connection is not None:
            with contextlib.suppress(OSError):  # the client may have gone first
                connection.shutdown(socket.SHUT_RDWR)


def config_for(listener: Listener) -> Config:
    """Return hypercorn's configuration for one listener."""

    class OneListener(Config):
        def create_sockets(self) -> Sockets:
            return Sockets([], [listener], [])

    config = OneListener()
    config.include_date_header = False  # the gateway writes it, from its own clock, once
    config.include_server_header = False
    config.graceful_timeout = 1.0
    config.keep_alive_timeout = 75.0
    config.h11_max_incomplete_size = 1 << 20
    config.accesslog = None
    config.errorlog = "-"
    config.loglevel = "ERROR"
    return config
