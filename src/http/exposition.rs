//! The text format of Prometheus, for values that are read from the database when they are asked for.

use std::fmt::Write;

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
        name: &str,
        help: &str,
        series: impl Iterator<Item = (Labels<'a>, Option<f64>)>,
    ) {
        self.head(name, help, "gauge");
        for (labels, value) in series {
            if let Some(value) = value {
                self.line(name, &labels, value);
            }
        }
    }

    /// A family of histograms.
    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = (Labels<'a>, &'a [i64])>,
    ) {
        self.head(name, help, "histogram");
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

    fn head(&mut self, name: &str, help: &str, kind: &str) {
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
        let prefix = "tetcore_analytics_chain";
        let states = chains.iter().flat_map(|chain| {
            let states = chain.states.as_object().into_iter().flatten();
            states.map(move |(state, nodes)| {
                let mut labels = labels_of_chain(chain);
                labels.push(("state", state));
                (labels, nodes.as_f64())
            })
        });
        self.gauges(&format!("{prefix}_nodes"), "Nodes of a chain by status, those that are there or were within a day; METRIC_CHAINS_MAX chains with the most nodes are told.", states);
        #[expect(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            reason = "heights that look honest have 32 bits"
        )]
        let number = |value: Option<i64>| value.map(|value| value as f64);
        let each = || chains.iter().map(|chain| (labels_of_chain(chain), chain));
        self.gauges(
            &format!("{prefix}_best_height"),
            "Best block of a chain, as a fair part of its nodes reports it.",
            each().map(|(labels, chain)| (labels, number(chain.best_height))),
        );
        self.gauges(
            &format!("{prefix}_finalized_height"),
            "Finalized block of a chain, as a fair part of its nodes reports it.",
            each().map(|(labels, chain)| (labels, number(chain.finalized_height))),
        );
        self.gauges(&format!("{prefix}_largest_finality_lag_blocks"), "The most blocks that one node of a chain has between its best and its finalized block.", each().map(|(labels, chain)| (labels, number(chain.lag_max))));
        self.gauges(
            &format!("{prefix}_since_last_block_seconds"),
            "Time since the last block of a chain was seen first.",
            each().map(|(labels, chain)| (labels, chain.since_last_block_s)),
        );
        self.gauges(
            &format!("{prefix}_block_time_seconds"),
            "Mean time between two blocks of the last 50 of a chain.",
            each().map(|(labels, chain)| (labels, chain.block_time_s)),
        );
    }

    /// What nodes are and do, with our own names.
    #[rustfmt::skip]
    pub(super) fn nodes(&mut self, nodes: &[NodeGauges], histograms: &[Histograms]) {
        let told = nodes.len();
        let all = nodes.first().map_or(0, |node| node.nodes);
        let left_out = u32::try_from(all).unwrap_or(u32::MAX).saturating_sub(u32::try_from(told).unwrap_or(u32::MAX));
        self.gauges("tetcore_analytics_nodes_left_out", "Nodes beyond METRICS_NODES_MAX that this answer leaves out.", [(Vec::new(), Some(f64::from(left_out)))].into_iter());
        let mut family = |name: &str, help: &str, value: fn(&NodeGauges) -> Option<f64>| {
            let series = nodes.iter().map(|node| (labels_of(node), value(node)));
            self.gauges(&format!("tetcore_analytics_node_{name}"), help, series);
        };
        family("up", "Whether a node is there: 1, or 0 if it is missing, offline, lost or out of service.", |node| Some(f64::from(u8::from(node.is_up))));
        family("last_seen_timestamp_seconds", "Arrival of the last message of a node.", |node| Some(node.last_seen_s));
        family("best_height", "Best block of a node.", |node| node.best_height);
        family("finalized_height", "Finalized block of a node.", |node| node.finalized_height);
        family("behind_blocks", "Blocks that a node is behind its chain.", |node| node.behind_blocks);
        family("finality_lag_blocks", "Blocks between the best and the finalized block of a node.", |node| node.finality_lag_blocks);
        family("peers", "Connected peers of a node.", |node| node.peers);
        family("download_bytes_per_second", "Download of a node.", |node| node.download_bytes_per_s);
        family("upload_bytes_per_second", "Upload of a node.", |node| node.upload_bytes_per_s);
        family("propagation_seconds", "Mean time after the first node at which a node had the last ten blocks.", |node| node.propagation_s);
        self.times("tetcore_analytics_block", histograms);
    }

    /// The same with the names of the exporter of substrate-telemetry.
    #[rustfmt::skip]
    pub(super) fn exporter(&mut self, chains: &[Chain], histograms: &[Histograms]) {
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "heights that look honest have 32 bits")]
        let number = |value: Option<i64>| value.map(|value| value as f64);
        self.gauges("polkadot_best_block", "Maximum height of the chain", chains.iter().map(|chain| (vec![("chain", chain.chain.as_deref().unwrap_or_default())], number(chain.best_height))));
        self.gauges("polkadot_best_finalized", "Highest finalized block", chains.iter().map(|chain| (vec![("chain", chain.chain.as_deref().unwrap_or_default())], number(chain.finalized_height))));
        self.times("polkadot_block", histograms);
    }

    #[rustfmt::skip]
    fn times(&mut self, prefix: &str, histograms: &[Histograms]) {
        self.histograms(&format!("{prefix}_propagation_seconds"), "Time from the first report of a block to that of each other node, since midnight UTC. The sum takes each as the middle of its bucket.", histograms.iter().map(|one| (vec![("chain", one.chain.as_str())], one.delays.as_slice())));
        self.histograms(&format!("{prefix}_finality_seconds"), "Time from the first report of a block to the first one that it is finalized, since midnight UTC. The sum takes each as the middle of its bucket.", histograms.iter().map(|one| (vec![("chain", one.chain.as_str())], one.finality.as_slice())));
    }
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
        text.histograms(
            "h",
            "Help.",
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
