//! Connections of nodes by address: how many each has, and which addresses are
//! blocked for a while. All IPv6 addresses of one line count as one.
//! Time is passed in.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Ipv6Prefix;
use crate::metrics::RefuseReason;
use crate::server_state::Permit;

/// Most blocked addresses, the newest; some 10 MB. Open ones are bounded by the
/// number of connections.
const BLOCKED_MAX: usize = 100_000;

/// Open connections and blocks by address.
#[derive(Debug)]
pub struct Addresses {
    registry: Mutex<Registry>,
    limits: AddressLimits,
}

/// What addresses may do.
#[derive(Debug, Clone, Copy)]
pub struct AddressLimits {
    /// Connections of each address.
    pub per_address_max: usize,
    /// Which IPv6 addresses are the same one.
    pub ipv6_prefix: Ipv6Prefix,
    /// How long an address is refused that stayed over a limit; zero disables it.
    pub block: Duration,
}

#[derive(Debug, Default)]
struct Registry {
    open: HashMap<IpAddr, usize>,
    blocked_until: HashMap<IpAddr, Instant>,
    /// The same, in order of expiry.
    blocked: VecDeque<(Instant, IpAddr)>,
}

/// The right of one address to one connection; released when it is dropped.
#[derive(Debug)]
pub struct AddressPermit {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

/// The right to one connection to this server; both parts are released when it
/// is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    /// None if the address is not known.
    pub(super) address: Option<AddressPermit>,
    pub(super) _server: Permit,
}

impl ConnectionPermit {
    /// Blocks its address, if it is known; whether that is news.
    pub(super) fn block(&self, now: Instant) -> bool {
        let address = self.address.as_ref();
        address.is_some_and(|address| address.block(now))
    }
}

impl Addresses {
    /// No connections yet.
    pub fn new(limits: AddressLimits) -> Self {
        Self {
            registry: Mutex::default(),
            limits,
        }
    }

    /// Admits a connection.
    ///
    /// # Errors
    /// Why it has to be refused.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        now: Instant,
    ) -> Result<AddressPermit, RefuseReason> {
        let address = self.limits.ipv6_prefix.line(address);
        let mut registry = self.registry();
        let until = registry.blocked_until.get(&address);
        if until.is_some_and(|until| now < *until) {
            return Err(RefuseReason::Blocked);
        }
        let open = registry.open.entry(address).or_default();
        if *open >= self.limits.per_address_max {
            return Err(RefuseReason::TooManyFromAddress);
        }
        *open += 1;
        Ok(AddressPermit {
            addresses: self.clone(),
            address,
        })
    }

    fn block(&self, address: IpAddr, now: Instant) -> bool {
        if self.limits.block.is_zero() {
            return false;
        }
        let mut registry = self.registry();
        while let Some((until, oldest)) = registry.blocked.front().copied()
            && (until <= now || registry.blocked.len() >= BLOCKED_MAX)
        {
            registry.blocked.pop_front();
            registry.blocked_until.remove(&oldest);
        }
        if registry.blocked_until.contains_key(&address) {
            return false;
        }
        let until = now + self.limits.block;
        registry.blocked.push_back((until, address));
        registry.blocked_until.insert(address, until);
        true
    }

    fn release(&self, address: IpAddr) {
        let mut registry = self.registry();
        if let Some(open) = registry.open.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                registry.open.remove(&address);
            }
        }
    }

    /// Changes are complete before anything could panic, so poison is ignored.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressPermit {
    /// Blocks the address of this connection; its other connections stay open. False
    /// if it was blocked already.
    pub fn block(&self, now: Instant) -> bool {
        self.addresses.block(self.address, now)
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        self.addresses.release(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const BLOCK: Duration = Duration::from_secs(60);

    fn addresses(per_address_max: usize, block: Duration) -> Arc<Addresses> {
        Arc::new(Addresses::new(AddressLimits {
            per_address_max,
            ipv6_prefix: Config::from_lookup(&|_| None).unwrap().ingest.ipv6_prefix,
            block,
        }))
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn each_address_has_its_own_limit() {
        let addresses = addresses(2, BLOCK);
        let now = Instant::now();
        let _first = addresses.admit(address(1), now).unwrap();
        let second = addresses.admit(address(1), now).unwrap();
        let _other = addresses.admit(address(2), now).unwrap();
        let refused = addresses.admit(address(1), now).unwrap_err();
        assert_eq!(refused, RefuseReason::TooManyFromAddress);
        drop(second);
        assert!(addresses.admit(address(1), now).is_ok());
    }

    #[test]
    fn an_address_is_blocked_for_a_while() {
        let addresses = addresses(usize::MAX, BLOCK);
        let now = Instant::now();
        let permit = addresses.admit(address(1), now).unwrap();
        assert!(permit.block(now));
        assert!(!permit.block(now), "it is blocked already");
        assert_eq!(
            addresses.admit(address(1), now).unwrap_err(),
            RefuseReason::Blocked
        );
        assert!(addresses.admit(address(2), now).is_ok());
        assert!(addresses.admit(address(1), now + BLOCK).is_ok());
    }

    #[test]
    fn the_registry_is_bounded_and_expires() {
        let addresses = addresses(usize::MAX, BLOCK);
        let now = Instant::now();
        for number in 0..200_000 {
            let permit = addresses.admit(address(number), now).unwrap();
            permit.block(now);
        }
        assert_eq!(addresses.registry().open.len(), 0);
        assert_eq!(addresses.registry().blocked_until.len(), BLOCKED_MAX);
        let later = now + BLOCK;
        let permit = addresses.admit(address(1), later).unwrap();
        assert!(permit.block(later));
        let registry = addresses.registry();
        assert_eq!(
            (registry.blocked_until.len(), registry.blocked.len()),
            (1, 1)
        );
    }

    #[test]
    fn without_a_duration_nothing_is_blocked() {
        let addresses = addresses(usize::MAX, Duration::ZERO);
        let now = Instant::now();
        let permit = addresses.admit(address(1), now).unwrap();
        assert!(!permit.block(now));
        assert!(addresses.admit(address(1), now).is_ok());
    }

    #[test]
    fn all_addresses_of_a_line_have_one_limit_and_one_block() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let addresses = addresses(2, BLOCK);
        let now = Instant::now();
        let first = addresses.admit(address("2001:db8:1:2::1"), now).unwrap();
        let _second = addresses.admit(address("2001:db8:1:2:3::2"), now).unwrap();
        let refused = addresses.admit(address("2001:db8:1:2:ffff::3"), now);
        assert_eq!(refused.unwrap_err(), RefuseReason::TooManyFromAddress);
        let neighbour = address("2001:db8:1:3::1");
        let _neighbour = addresses.admit(neighbour, now).unwrap();
        assert!(first.block(now));
        drop(first);
        let refused = addresses.admit(address("2001:db8:1:2::9"), now);
        assert_eq!(refused.unwrap_err(), RefuseReason::Blocked);
        assert!(addresses.admit(neighbour, now).is_ok());
    }
}
