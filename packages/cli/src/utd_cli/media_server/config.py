"""What livekit-server is told: the configuration of one node on this machine, loopback only."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class ServerKeys(NamedTuple):
    """What signs LiveKit's tokens. The secret has 32 characters or more."""

    key: str
    secret: str


def server_config(
    port: int,
    keys: ServerKeys,
    webhook_url: str | None,
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole configuration. JSON is YAML, so it needs no writer of its own.

    Args:
        port: of HTTP and signalling.
        keys: the only pair that the server accepts.
        webhook_url: where it reports joins and leaves.
        overrides: top-level entries that replace ours. LiveKit refuses unknown ones.
    """
    config: dict[str, Any] = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "keys": {keys.key: keys.secret},
        "rtc": {
            "tcp_port": 0,  # left out, ICE over TCP listens on every interface
            "udp_port": 0,
            "use_external_ip": False,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,  # without these three no client gets media
            "interfaces": {"includes": ["lo", "lo0"]},
            "ips": {"includes": ["127.0.0.0/8"]},
            "stun_servers": ["127.0.0.1:3478"],  # left out, clients ask public hosts
        },
        # Rooms are opened and closed by the engine alone.
        "room": {"auto_create": False, "empty_timeout": 300, "departure_timeout": 60},
    }
    if webhook_url is not None:
        config["webhook"] = {"api_key": keys.key, "urls": [webhook_url]}
    return config | dict(overrides)
