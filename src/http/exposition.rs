//! The text format of Prometheus, for values that are read from the database when they are asked for.

use std::fmt::Write;

use crate::metrics::{StoredFamily, stored};
use crate::query::chains::{Chain, Histograms, NodeGauges};

/// Names and values of labels.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Metrics as text.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// The text.
    pub(super) fn text(self) -> String {
        self.0
    }

    /// A family of gauges; a series without a value is left out.
    fn gauges<'a>(
        &mut self,
        family: &StoredFamily,
        series: impl Iterator<Item = (Labels<'a>, Option<f64>)>,
    ) {
        self.head(family);
        for (labels, value) in series {
            if let Some(value) = value {
                self.line(family.name, &labels, value);
            }
        }
    }

    /// A family of histograms.
    fn histograms<'a>(
        &mut self,
        family: &StoredFamily,
        series: impl Iterator<Item = (Labels<'a>, &'a [i64])>,
    ) {
        self.head(family);
        let name = family.name;
        let bucket = format!("{name}_bucket");
        for (labels, counts) in series {
            let (below, total, sum) = Histograms::cumulative(counts);
            let with = |bound: &str| format!("{}le=\"{bound}\"", joined(&labels, true));
            for (bound, count) in below {
                self.raw(&bucket, &with(&bound.to_string()), &count.to_string());
            }
            self.raw(&bucket, &with("+Inf"), &total.to_string());
            self.line(&format!("{name}_sum"), &labels, sum);
            self.raw(
                &format!("{name}_count"),
                &joined(&labels, false),
                &total.to_string(),
            );
        }
    }

    fn head(&mut self, family: &StoredFamily) {
        let StoredFamily { name, help, .. } = family;
        let kind = family.kind.label();
        // Writing into a text never fails.
        write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n").ok();
    }

    fn line(&mut self, name: &str, labels: &Labels<'_>, value: f64) {
        self.raw(name, &joined(labels, false), &value.to_string());
    }

    fn raw(&mut self, name: &str, labels: &str, value: &str) {
        match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}").ok(),
            false => writeln!(self.0, "{name}{{{labels}}} {value}").ok(),
        };
    }

    /// Where chains are.
    pub(super) fn chains(&mut self, chains: &[Chain]) {
        let states = chains.iter().flat_map(|chain| {
            let states = chain.states.as_object().into_iter().flatten();
            states.map(move |(state, nodes)| {
                let mut labels = labels_of_chain(chain);
                labels.push(("state", state));
                (labels, nodes.as_f64())
            })
        });
        self.gauges(&stored::CHAIN_NODES, states);
        let mut family = |family: &StoredFamily, value: fn(&Chain) -> Option<f64>| {
            let series = chains
                .iter()
                .map(|chain| (labels_of_chain(chain), value(chain)));
            self.gauges(family, series);
        };
        family(&stored::CHAIN_BEST_HEIGHT, |chain| {
            number(chain.best_height)
        });
        family(&stored::CHAIN_FINALIZED_HEIGHT, |chain| {
            number(chain.finalized_height)
        });
        family(&stored::CHAIN_FINALITY_LAG, |chain| number(chain.lag_max));
        family(&stored::CHAIN_SINCE_LAST_BLOCK, |chain| {
            chain.since_last_block_s
        });
        family(&stored::CHAIN_BLOCK_TIME, |chain| chain.block_time_s);
    }

    /// What nodes are and do, with our own names.
    pub(super) fn nodes(&mut self, nodes: &[NodeGauges], histograms: &[Histograms]) {
        let told = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let all = nodes.first().map_or(0, |node| node.nodes);
        let left_out = u32::try_from(all).unwrap_or(u32::MAX).saturating_sub(told);
        let left_out = [(Vec::new(), Some(f64::from(left_out)))];
        self.gauges(&stored::NODES_LEFT_OUT, left_out.into_iter());
        let mut family = |family: &StoredFamily, value: fn(&NodeGauges) -> Option<f64>| {
            let series = nodes.iter().map(|node| (labels_of(node), value(node)));
            self.gauges(family, series);
        };
        family(&stored::NODE_UP, |node| {
            Some(f64::from(u8::from(node.is_up)))
        });
        family(&stored::NODE_AUTHORITY, |node| {
            Some(f64::from(u8::from(node.is_authority)))
        });
        family(&stored::NODE_LAST_SEEN, |node| Some(node.last_seen_s));
        family(&stored::NODE_BEST_HEIGHT, |node| node.best_height);
        family(&stored::NODE_FINALIZED_HEIGHT, |node| node.finalized_height);
        family(&stored::NODE_BEHIND, |node| node.behind_blocks);
        family(&stored::NODE_FINALITY_LAG, |node| node.finality_lag_blocks);
        family(&stored::NODE_PEERS, |node| node.peers);
        family(&stored::NODE_DOWNLOAD, |node| node.download_bytes_per_s);
        family(&stored::NODE_UPLOAD, |node| node.upload_bytes_per_s);
        family(&stored::NODE_PROPAGATION, |node| node.propagation_s);
        self.times(
            &stored::BLOCK_PROPAGATION,
            &stored::BLOCK_FINALITY,
            histograms,
        );
    }

    /// The same with the names of the exporter of substrate-telemetry.
    pub(super) fn exporter(&mut self, chains: &[Chain], histograms: &[Histograms]) {
        let mut family = |name, help, value: fn(&Chain) -> Option<i64>| {
            let family = StoredFamily {
                name,
                help,
                ..stored::CHAIN_BEST_HEIGHT
            };
            let series = chains.iter().map(|chain| {
                let labels = vec![("chain", chain.chain.as_deref().unwrap_or_default())];
                (labels, number(value(chain)))
            });
            self.gauges(&family, series);
        };
        family(
            "polkadot_best_block",
            "Maximum height of the chain",
            |chain| chain.best_height,
        );
        family(
            "polkadot_best_finalized",
            "Highest finalized block",
            |chain| chain.finalized_height,
        );
        let delays = StoredFamily {
            name: "polkadot_block_propagation_seconds",
            ..stored::BLOCK_PROPAGATION
        };
        let finality = StoredFamily {
            name: "polkadot_block_finality_seconds",
            ..stored::BLOCK_FINALITY
        };
        self.times(&delays, &finality, histograms);
    }

    fn times(&mut self, delays: &StoredFamily, finality: &StoredFamily, of: &[Histograms]) {
        let series = |counts: fn(&Histograms) -> &[i64]| {
            of.iter()
                .map(move |one| (vec![("chain", one.chain.as_str())], counts(one)))
        };
        self.histograms(delays, series(|one| &one.delays));
        self.histograms(finality, series(|one| &one.finality));
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "heights that look honest have 32 bits"
)]
fn number(value: Option<i64>) -> Option<f64> {
    value.map(|value| value as f64)
}

fn labels_of_chain(chain: &Chain) -> Labels<'_> {
    vec![
        ("chain", chain.chain.as_deref().unwrap_or_default()),
        ("genesis_hash", &chain.genesis_hash),
    ]
}

fn labels_of(node: &NodeGauges) -> Labels<'_> {
    vec![
        ("chain", &node.chain),
        ("name", &node.name),
        ("peer_id", &node.peer_id),
    ]
}

/// Labels as they stand between braces; values are escaped.
fn joined(labels: &Labels<'_>, goes_on: bool) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        text.push_str(name);
        text.push_str("=\"");
        text.push_str(&value);
        text.push('"');
    }
    if goes_on && !text.is_empty() {
        text.push(',');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_stays_within_its_label() {
        let labels = vec![("name", "a\"} 7\nb\\")];
        assert_eq!(joined(&labels, true), r#"name="a\"} 7\nb\\","#);
    }

    #[test]
    fn a_histogram_counts_what_is_not_above_each_bound() {
        let mut text = Exposition::default();
        let counts = [1, 0, 2];
        let family = StoredFamily {
            name: "h",
            ..stored::BLOCK_FINALITY
        };
        text.histograms(
            &family,
            [(vec![("chain", "c")], counts.as_slice())].into_iter(),
        );
        let lines: Vec<String> = text.text().lines().map(str::to_owned).collect();
        assert_eq!(
            lines[2..],
            [
                r#"h_bucket{chain="c",le="0.008"} 1"#,
                r#"h_bucket{chain="c",le="0.01"} 1"#,
                r#"h_bucket{chain="c",le="0.012"} 3"#,
                r#"h_bucket{chain="c",le="+Inf"} 3"#,
                r#"h_sum{chain="c"} 0.026"#,
                r#"h_count{chain="c"} 3"#,
            ]
        );
    }
}
