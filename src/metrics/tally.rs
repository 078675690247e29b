//! What one read of a socket brought, counted together: with many processors each counter that they
//! share costs more than all else that is counted for a message.

use super::{KindCounts, Metrics};
use crate::telemetry::Format;

/// Kinds that are counted together; a read that has more counts the others at once.
const KINDS_MAX: usize = 16;

/// Counts of one read, not shown yet.
#[derive(Debug, Default)]
pub struct ReadTally {
    messages: u64,
    bytes: u64,
    formats: [u64; 2],
    kinds: Vec<(usize, u64)>,
}

impl ReadTally {
    /// A message of so many bytes, whatever becomes of it.
    pub fn message(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += u64::try_from(bytes).unwrap_or(0);
    }

    /// It could be decoded.
    pub fn format(&mut self, format: Format) {
        let [v1, v2] = &mut self.formats;
        *match format {
            Format::V1 => v1,
            Format::V2 => v2,
        } += 1;
    }

    /// It has this kind; `number` as for [`KindCounts::count`].
    pub fn kind(&mut self, number: Option<i16>, name: &str, counts: &KindCounts) {
        let Some(place) = counts.place(number) else {
            return counts.count(number, name);
        };
        let is_full = self.kinds.len() >= KINDS_MAX;
        match self.kinds.iter_mut().find(|(known, _)| *known == place) {
            Some((_, count)) => *count += 1,
            None if is_full => counts.count(number, name),
            None => self.kinds.push((place, 1)),
        }
    }

    /// Shows what was counted, before the messages go on.
    pub fn show(&mut self, metrics: &Metrics, counts: &KindCounts) {
        if self.messages == 0 {
            return;
        }
        metrics.messages_received.inc_by(self.messages);
        metrics.received_bytes.inc_by(self.bytes);
        for (counter, count) in metrics.messages_by_format.iter().zip(self.formats) {
            if count > 0 {
                counter.inc_by(count);
            }
        }
        for (place, count) in self.kinds.drain(..) {
            counts.add(place, count);
        }
        (self.messages, self.bytes, self.formats) = (0, 0, [0; 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_together_is_shown_once() {
        let metrics = Metrics::new().unwrap();
        let counts = metrics.kind_counts(100, |_| true);
        let mut tally = ReadTally::default();
        let shown = |name: &str| {
            let text = String::from_utf8(metrics.render(false).unwrap()).unwrap();
            let series = text.lines().filter_map(|line| line.rsplit_once(' '));
            let of_name = series.filter(|(series, _)| series.starts_with(name));
            of_name
                .map(|(_, value)| value.parse::<u64>().unwrap())
                .sum::<u64>()
        };
        let by_kind = "tetcore_analytics_ingest_messages_by_kind_total";
        for number in 0..100_u8 {
            tally.message(10);
            tally.format(Format::V2);
            let kind = i16::from(number % 40);
            // None while it is new.
            tally.kind(
                (number % 50 > 0).then_some(kind),
                &kind.to_string(),
                &counts,
            );
        }
        tally.show(&metrics, &counts);
        tally.show(&metrics, &counts);
        assert_eq!(shown(by_kind), 100);
        assert_eq!(shown(&format!("{by_kind}{{msg=\"7\"}}")), 3);
        assert_eq!(metrics.messages_received.get(), 100);
        assert_eq!(metrics.received_bytes.get(), 1_000);
        assert_eq!(metrics.messages_by_format[1].get(), 100);
    }
}
