"""Which network addresses a stranger's URL may lead to. Pure: nothing here opens a connection.

For every room that sends requests where a client says: the gateway, which fetches inputs, and the
workers, which deliver webhooks. ``jobs.outbound`` sends such requests; use it rather than this alone,
since an address counts only if the connection then goes to that very address.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

IpAddress = IPv4Address | IPv6Address

# What Python calls global and is not, or leads on to addresses that are not. Sources: the registries of
# IANA for special-purpose addresses (RFC 6890), and Azure's metadata service.
_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "100.64.0.0/10",  # carriers' own (RFC 6598)
        "168.63.129.16/32",  # Azure's platform, from inside its virtual machines
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays to 6to4
        "::/96",  # IPv4 in IPv6, the retired way
        "64:ff9b::/96",  # IPv4 behind a translator (RFC 6052)
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo: IPv4 in IPv6
        "2002::/16",  # 6to4: IPv4 in IPv6
        "fec0::/10",  # site-local, the retired way
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")


def is_public(address: IpAddress) -> bool:
    """Whether an address is one of the internet's, and no machine, link or network of our own."""
    if isinstance(address, IPv6Address) and address in _MAPPED:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)


def parse_address(text: str) -> IpAddress:
    """Read an address as resolvers write it; the zone of a link-local one is dropped.

    Raises:
        ValueError: it is no address.
    """
    return ip_address(text.partition("%")[0])
