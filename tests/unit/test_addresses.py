"""Which addresses a stranger's URL may lead to."""

import pytest

from jobs.addresses import is_public, parse_address


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "93.184.216.34", "192.0.1.1", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1"]
)
def test_an_address_of_the_internet_is_public(text):
    assert is_public(parse_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "168.63.129.16", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.88.99.1"),
        *("198.18.0.1", "192.0.2.1", "203.0.113.5", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
        *(
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "fe80::1",
            "fe80::1%eth0",
            "fc00::1",
            "fd00:ec2::254",
        ),
        *("fec0::1", "ff02::1", "2001:db8::1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::"),
        *("2001:0:7f00:1::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1"),
    ],
)
def test_an_address_of_our_own_machines_links_and_networks_is_not(text):
    assert not is_public(parse_address(text))
