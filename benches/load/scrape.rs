//! One look at `/metrics`.

use std::collections::BTreeMap;

use crate::Outcome;

const PREFIX: &str = "tetcore_analytics_";

/// All series with their values.
#[derive(Debug)]
pub(crate) struct Scrape {
    series: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads the text format of Prometheus.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self {
            series: series.collect(),
        }
    }

    /// The value of a series, named without the prefix of the server.
    pub(crate) fn value(&self, name: &str) -> Outcome<f64> {
        let value = self.series.get(&format!("{PREFIX}{name}"));
        value
            .copied()
            .ok_or_else(|| format!("/metrics has no {name}").into())
    }

    /// What a histogram saw since `earlier`.
    pub(crate) fn histogram_since(&self, earlier: &Self, name: &str) -> Outcome<Histogram> {
        let begin = format!("{PREFIX}{name}_bucket{{le=\"");
        let mut buckets = Vec::new();
        for (series, count) in &self.series {
            let Some(bound) = series
                .strip_prefix(&begin)
                .and_then(|rest| rest.strip_suffix("\"}"))
            else {
                continue;
            };
            let before = earlier.series.get(series).copied().unwrap_or(0.0);
            buckets.push((bound.parse::<f64>()?, count - before));
        }
        if buckets.is_empty() {
            return Err(format!("/metrics has no {name}").into());
        }
        buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        Ok(Histogram { buckets })
    }
}

/// Cumulative counts by upper bound.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Vec<(f64, f64)>,
}

impl Histogram {
    /// The value below which this share (0 to 1) of the observations lies, on a straight line within
    /// its bucket; the last finite bound for what lies beyond it.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let total = self.buckets.last().map_or(0.0, |(_, count)| *count);
        let rank = share * total;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank && *count > below {
                let part = (rank - below) / (count - below);
                return if bound.is_finite() {
                    lower + (bound - lower) * part
                } else {
                    lower
                };
            }
            (lower, below) = (*bound, *count);
        }
        lower
    }

    /// Upper bound of the bucket that holds the longest observation; infinite if that is beyond all.
    pub(crate) fn longest(&self) -> f64 {
        let total = self.buckets.last().map_or(0.0, |(_, count)| *count);
        let bucket = self.buckets.iter().find(|(_, count)| *count >= total);
        bucket.map_or(0.0, |(bound, _)| *bound)
    }
}
