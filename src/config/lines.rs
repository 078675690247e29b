//! Which addresses count as one client for limits.

use std::net::IpAddr;

use ipnet::IpNet;

/// `IPV6_PREFIX`: so many leading bits are common to all addresses of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Prefix(pub(super) u8);

impl Ipv6Prefix {
    /// What stands for the line of an address: an IPv4 address for itself, an IPv6
    /// address for all with its prefix. IPv4 in IPv6 (`::ffff:10.0.0.1`) is IPv4.
    pub fn line(self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            address @ IpAddr::V4(_) => address,
            address @ IpAddr::V6(_) => {
                IpNet::new(address, self.0).map_or(address, |line| line.network())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_one_address_of_ipv4_and_a_prefix_of_ipv6() {
        for (prefix, address, line) in [
            (64, "192.0.2.1", "192.0.2.1"),
            (64, "::ffff:192.0.2.1", "192.0.2.1"),
            (64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            (56, "2001:db8:1:2ff:3:4:5:6", "2001:db8:1:200::"),
            (128, "2001:db8::1", "2001:db8::1"),
        ] {
            let found = Ipv6Prefix(prefix).line(address.parse().unwrap());
            assert_eq!(found.to_string(), line, "{address}");
        }
    }
}
