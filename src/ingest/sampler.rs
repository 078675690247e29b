//! Rate limit for log lines that clients can cause; the next line gives the number
//! of those left out.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line through each ten seconds.
#[derive(Debug, Default)]
pub struct Sampler {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_at: Option<Instant>,
    left_out: u64,
}

impl Sampler {
    /// Whether to write the line now, and how many were left out since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().ok()?;
        if state.next_at.is_some_and(|next_at| now < next_at) {
            state.left_out += 1;
            return None;
        }
        state.next_at = Some(now + INTERVAL);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_each_interval() {
        let sampler = Sampler::default();
        let start = Instant::now();
        assert_eq!(sampler.admit(start), Some(0));
        assert_eq!(sampler.admit(start), None);
        assert_eq!(sampler.admit(start + INTERVAL / 2), None);
        assert_eq!(sampler.admit(start + INTERVAL), Some(2));
    }
}
