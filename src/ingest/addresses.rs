//! The book of addresses: how many connections each has, and which are refused
//! for a while. Pure: time is passed in.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::RefuseReason;

/// Addresses that are refused at once, the newest; some 10 MB. Those that are
/// open are as many as there are connections.
const BLOCKED_MAX: usize = 100_000;

/// Connections and refusals by address.
#[derive(Debug)]
pub struct Addresses {
    book: Mutex<Book>,
    per_address_max: usize,
    block: Duration,
}

#[derive(Debug, Default)]
struct Book {
    open: HashMap<IpAddr, usize>,
    blocked_until: HashMap<IpAddr, Instant>,
    /// The same, the oldest first.
    blocked: VecDeque<(Instant, IpAddr)>,
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// An empty book: at most `per_address_max` connections for each address, and
    /// refusals of the length of `block`; zero refuses nobody.
    pub fn new(per_address_max: usize, block: Duration) -> Self {
        Self {
            book: Mutex::default(),
            per_address_max,
            block,
        }
    }

    /// Lets a connection in.
    ///
    /// # Errors
    /// Why it has to be refused.
    pub fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Place, RefuseReason> {
        let mut book = self.book();
        let until = book.blocked_until.get(&address);
        if until.is_some_and(|until| now < *until) {
            return Err(RefuseReason::Blocked);
        }
        let open = book.open.entry(address).or_default();
        if *open >= self.per_address_max {
            return Err(RefuseReason::TooManyFromAddress);
        }
        *open += 1;
        Ok(Place {
            addresses: self.clone(),
            address,
        })
    }

    fn block(&self, address: IpAddr, now: Instant) -> bool {
        if self.block.is_zero() {
            return false;
        }
        let mut book = self.book();
        while let Some((until, oldest)) = book.blocked.front().copied()
            && (until <= now || book.blocked.len() >= BLOCKED_MAX)
        {
            book.blocked.pop_front();
            book.blocked_until.remove(&oldest);
        }
        if book.blocked_until.contains_key(&address) {
            return false;
        }
        let until = now + self.block;
        book.blocked.push_back((until, address));
        book.blocked_until.insert(address, until);
        true
    }

    fn leave(&self, address: IpAddr) {
        let mut book = self.book();
        if let Some(open) = book.open.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                book.open.remove(&address);
            }
        }
    }

    /// Nothing in here panics, and each change is whole, so poison means nothing.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Refuses the address of this connection for a while; others that are open
    /// stay. Returns whether it was not refused already.
    pub fn block(&self, now: Instant) -> bool {
        self.addresses.block(self.address, now)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.addresses.leave(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Duration = Duration::from_secs(60);

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn each_address_has_its_own_places() {
        let addresses = Arc::new(Addresses::new(2, BLOCK));
        let now = Instant::now();
        let _first = addresses.enter(address(1), now).unwrap();
        let second = addresses.enter(address(1), now).unwrap();
        let _other = addresses.enter(address(2), now).unwrap();
        let refused = addresses.enter(address(1), now).unwrap_err();
        assert_eq!(refused, RefuseReason::TooManyFromAddress);
        drop(second);
        assert!(addresses.enter(address(1), now).is_ok());
    }

    #[test]
    fn an_address_is_refused_for_a_while() {
        let addresses = Arc::new(Addresses::new(usize::MAX, BLOCK));
        let now = Instant::now();
        let place = addresses.enter(address(1), now).unwrap();
        assert!(place.block(now));
        assert!(!place.block(now), "it is said once");
        assert_eq!(
            addresses.enter(address(1), now).unwrap_err(),
            RefuseReason::Blocked
        );
        assert!(addresses.enter(address(2), now).is_ok());
        assert!(addresses.enter(address(1), now + BLOCK).is_ok());
    }

    #[test]
    fn the_book_is_bounded_and_forgets() {
        let addresses = Arc::new(Addresses::new(usize::MAX, BLOCK));
        let now = Instant::now();
        for number in 0..200_000 {
            let place = addresses.enter(address(number), now).unwrap();
            place.block(now);
        }
        assert_eq!(addresses.book().open.len(), 0);
        assert_eq!(addresses.book().blocked_until.len(), BLOCKED_MAX);
        let later = now + BLOCK;
        let place = addresses.enter(address(1), later).unwrap();
        assert!(place.block(later));
        let book = addresses.book();
        assert_eq!((book.blocked_until.len(), book.blocked.len()), (1, 1));
    }

    #[test]
    fn without_a_time_nobody_is_refused() {
        let addresses = Arc::new(Addresses::new(usize::MAX, Duration::ZERO));
        let now = Instant::now();
        let place = addresses.enter(address(1), now).unwrap();
        assert!(!place.block(now));
        assert!(addresses.enter(address(1), now).is_ok());
    }
}
