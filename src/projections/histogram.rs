//! Histograms of times in fixed buckets, so that they can be added.
//!
//! Each whole number of nanoseconds up to 31 has a bucket of its own; from there on
//! 16 buckets share each doubling, up to 2^44 ns (4.9 hours). The middle of a bucket
//! is at most 1/32 (3.2 %) from any time in it. `telemetry_span_bounds()` has the same
//! bounds in SQL.

use std::collections::BTreeMap;

/// Largest relative error of a quantile from a histogram, of times up to 2^44 ns.
pub const RELATIVE_ERROR: f64 = 1.0 / 32.0;

/// Bits of a bucket within its doubling.
const BITS: u32 = 4;

/// Times from 2 to the power of this on share the last bucket.
const DOUBLINGS_MAX: u32 = 44;

/// The last bucket.
const LAST: i16 = 656;

/// How many times fell into each bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<i16, i64>);

impl Histogram {
    /// From the buckets that are not empty and their counts.
    pub fn new(buckets: &[i16], counts: &[i64]) -> Self {
        let mut histogram = Self::default();
        histogram.add_columns(buckets, counts);
        histogram
    }

    /// Adds buckets and their counts.
    pub fn add_columns(&mut self, buckets: &[i16], counts: &[i64]) {
        for (bucket, count) in buckets.iter().zip(counts) {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// Adds a time, nanoseconds.
    pub fn add(&mut self, time: i64) {
        *self.0.entry(bucket(time)).or_default() += 1;
    }

    /// Adds another; the order does not matter.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// The buckets that are not empty, ascending, and their counts.
    pub fn columns(&self) -> (Vec<i16>, Vec<i64>) {
        self.0.iter().unzip()
    }

    /// The quantile (0 to 1) of times between `min` and `max`: between the two times
    /// beside its rank, as `percentile_cont`, each at most [`RELATIVE_ERROR`] off. The
    /// least and the largest are known without any bucket.
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "counts stay far below 2^52, and a rank below its count"
    )]
    pub fn quantile(&self, quantile: f64, min: f64, max: f64) -> f64 {
        let last = self.0.values().sum::<i64>() - 1;
        let rank = quantile * last.max(0) as f64;
        let at = |rank: f64| match rank as i64 {
            0 => min,
            rank if rank == last => max,
            rank => self.at(rank).clamp(min, max),
        };
        if quantile >= 1.0 {
            return max;
        }
        let (low, high) = (at(rank.floor()), at(rank.ceil()));
        low + (high - low) * rank.fract()
    }

    /// The middle of the bucket of the time with a rank, counted from 0.
    fn at(&self, rank: i64) -> f64 {
        let mut up_to = 0;
        let found = self.0.iter().find(|(_, count)| {
            up_to += **count;
            up_to > rank
        });
        found.map_or(0.0, |(bucket, _)| middle(*bucket))
    }
}

/// The bucket of a time.
fn bucket(time: i64) -> i16 {
    let Some(doublings) = u64::try_from(time).ok().and_then(u64::checked_ilog2) else {
        return 0;
    };
    if doublings >= DOUBLINGS_MAX {
        return LAST;
    }
    let shift = doublings.saturating_sub(BITS);
    let place = i64::from(shift << BITS) + (time >> shift);
    i16::try_from(place).unwrap_or(LAST)
}

/// The middle of a bucket, nanoseconds.
fn middle(bucket: i16) -> f64 {
    let first = 1 << BITS;
    let (doublings, within) = (bucket / first, bucket % first);
    if doublings < 2 {
        return f64::from(bucket);
    }
    let width = f64::from(doublings - 1).exp2();
    (f64::from(first + within) * width) + (width - 1.0) / 2.0
}

#[cfg(test)]
#[expect(clippy::as_conversions, reason = "these numbers are exact")]
mod tests {
    use super::*;

    /// The lower bound of a bucket, as SQL has it.
    fn lower_bound(bucket: i64) -> i64 {
        match bucket {
            0..16 => bucket,
            _ => (16 + bucket % 16) << (bucket / 16 - 1),
        }
    }

    #[test]
    fn buckets_follow_each_other_and_their_middle_is_near() {
        for place in 1..=i64::from(LAST) {
            let (bound, expected) = (lower_bound(place), i16::try_from(place).unwrap());
            assert_eq!(bucket(bound), expected);
            assert_eq!(bucket(bound - 1), expected - 1);
            if expected < LAST {
                for time in [bound, lower_bound(place + 1) - 1] {
                    let off = (middle(expected) / time as f64 - 1.0).abs();
                    assert!(off <= RELATIVE_ERROR, "{time} is {off} off");
                }
            }
        }
        assert_eq!([i64::MIN, -1, 0].map(bucket), [0; 3]);
        assert_eq!(bucket(i64::MAX), LAST);
    }

    #[test]
    fn quantiles_lie_between_the_two_times_beside_their_rank() {
        let of = |times: &[i64], quantile| {
            let mut histogram = Histogram::default();
            times.iter().for_each(|time| histogram.add(*time));
            let (min, max) = (times.iter().min(), times.iter().max());
            histogram.quantile(quantile, *min.unwrap() as f64, *max.unwrap() as f64)
        };
        assert_eq!(of(&[7], 0.9), 7.0);
        assert_eq!(of(&[1, 1_000_003], 0.5), 500_002.0);
        assert_eq!(of(&[1, 2, 30], 0.5), 2.0);
        assert_eq!(of(&[-5, -4, i64::MAX], 0.0), -5.0);
        let thousand: Vec<i64> = (1..=1_000).map(|n| n * 1_000).collect();
        for (quantile, exact) in [(0.5, 500_500.0), (0.9, 900_100.0), (1.0, 1_000_000.0)] {
            let off = of(&thousand, quantile) / exact - 1.0;
            assert!(off.abs() <= RELATIVE_ERROR, "{quantile} is {off} off");
        }
        let none = Histogram::default();
        assert_eq!(
            [0.0, 1.0].map(|quantile| none.quantile(quantile, 3.0, 5.0)),
            [3.0, 5.0]
        );
    }

    #[test]
    fn histograms_add_up() {
        let (mut one, mut all) = (Histogram::default(), Histogram::default());
        let mut other = Histogram::default();
        for time in [3, 500, 500, 1 << 50] {
            all.add(time);
        }
        one.add(500);
        one.add(3);
        other.add(1 << 50);
        other.add(500);
        one.merge(&other);
        assert_eq!(one, all);
        let (buckets, counts) = one.columns();
        assert_eq!(counts, [1, 2, 1]);
        assert_eq!(Histogram::new(&buckets, &counts), all);
    }
}
