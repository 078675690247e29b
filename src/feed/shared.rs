//! A value for several subscribers: kept once, written once for each form, and counted
//! in bytes until all of them have taken it.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytestring::ByteString;

/// In how many pieces of memory a value stands until it is sent: itself, its text, and
/// the text in a frame.
const COPIES: usize = 3;

/// Bytes that wait for one subscriber until it counts as slow; one update may be larger.
pub(super) const WAITING_MAX: usize = 8 << 20;

/// Bytes that wait for all subscribers: with more, each one that has not taken what it
/// was given counts as slow.
const WAITING_TOTAL_MAX: usize = 256 << 20;

/// The form of a text, defined by the dialect that writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form(pub u8);

/// How much memory something takes.
pub trait Weigh {
    /// Bytes, about.
    fn bytes(&self) -> usize;
}

/// Bytes that wait for subscribers.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicUsize,
    taken: AtomicUsize,
}

/// Some of [`Waiting`], until it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    waiting: Waiting,
    bytes: usize,
}

/// A value for several subscribers.
#[derive(Debug)]
pub struct Shared<T> {
    value: T,
    texts: Mutex<Vec<(Form, ByteString)>>,
    charge: Charge,
}

impl Waiting {
    /// How many there are.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// How much has been taken so far, in pieces; it wraps around.
    pub(super) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Whether a subscriber for whom this waits can get more, where `total` waits for all.
    pub(super) fn has_room(&self, bytes: usize, total: &Self) -> bool {
        let waits = self.bytes();
        waits == 0 || (waits + bytes <= WAITING_MAX && total.bytes() <= WAITING_TOTAL_MAX)
    }

    pub(super) fn charge(&self, bytes: usize) -> Charge {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            waiting: self.clone(),
            bytes,
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let counts = &self.waiting.0;
        counts.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        counts.taken.fetch_add(1, Ordering::Relaxed);
    }
}

impl<T: Weigh> Shared<T> {
    /// Counts in `waiting` until all have taken it.
    pub(super) fn new(value: T, waiting: &Waiting) -> Arc<Self> {
        let charge = waiting.charge(COPIES * value.bytes());
        Arc::new(Self {
            value,
            texts: Mutex::default(),
            charge,
        })
    }

    /// Bytes that it takes, with its texts.
    pub(super) fn bytes(&self) -> usize {
        self.charge.bytes
    }

    /// The text of a form, written when it is first asked for.
    pub fn text(&self, form: Form, write: impl FnOnce(&T) -> ByteString) -> ByteString {
        // Others wait for the one that writes.
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = texts.iter().find(|(known, _)| *known == form) {
            return text.clone();
        }
        let text = write(&self.value);
        texts.push((form, text.clone()));
        text
    }
}

impl Weigh for ByteString {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for &'static str {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn what_waits_is_bounded_for_each_subscriber_and_for_all() {
        let (one, total) = (Waiting::default(), Waiting::default());
        assert!(one.has_room(2 * WAITING_MAX, &total), "nothing waits yet");
        let waits = one.charge(WAITING_MAX / 2);
        assert!(one.has_room(WAITING_MAX / 2, &total));
        assert!(!one.has_room(WAITING_MAX / 2 + 1, &total));
        let others = total.charge(WAITING_TOTAL_MAX + 1);
        assert!(!one.has_room(1, &total));
        drop(waits);
        assert!(one.has_room(1, &total), "who reads gets it all the same");
        drop(others);
        assert_eq!((one.bytes(), total.bytes(), one.taken()), (0, 0, 1));
    }

    #[test]
    fn a_value_is_written_once_for_each_form_and_counted_until_it_is_taken() {
        let waiting = Waiting::default();
        let shared = Shared::new("text", &waiting);
        assert_eq!(waiting.bytes(), COPIES * 4);
        let mut written = 0;
        for form in [1, 2, 1, 2] {
            let text = shared.text(Form(form), |value| {
                written += 1;
                format!("{value} {form}").into()
            });
            assert_eq!(text, format!("text {form}"));
        }
        assert_eq!(written, 2);
        let other = shared.clone();
        drop(shared);
        assert_eq!(waiting.bytes(), COPIES * 4);
        drop(other);
        assert_eq!(waiting.bytes(), 0);
    }
}
