"""The address of the page."""

import socket


def check_port(host: str, port: int) -> None:
    """Raise a ValueError if an address cannot be served."""
    if not 0 < port < 1 << 16:
        raise ValueError(f"--port must be from 1 to {(1 << 16) - 1}, got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"--host {host} --port {port} cannot be served ({reason}): give another --port"
        ) from error
