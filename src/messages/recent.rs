//! Batches that this server stored a moment ago, still in memory: who follows the changes
//! need not read them back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{MessageRow, StreamedMessage, Wanted};
use crate::store::{Batch, StoredBatch};
use crate::telemetry::events::may_hold_event;

/// Bytes of messages that are kept: about six seconds of 10,000 nodes.
const BYTES_MAX: usize = 16 << 20;

/// Batches that are kept: small ones carry sessions too, and are looked through one by one.
const BATCHES_MAX: usize = 1_000;

/// The newest batches, until they are taken or others need their place.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    batches: VecDeque<KeptBatch>,
    bytes: usize,
}

#[derive(Debug)]
struct KeptBatch {
    /// Its first and its last message.
    ids: (i64, i64),
    bytes: usize,
    batch: Arc<Batch>,
}

impl Recent {
    /// Keeps batches that were just stored, every message of them.
    pub fn keep(&self, batches: &[Arc<Batch>]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in batches {
            let bytes = batch.bytes();
            let Some(ids) = batch.ids().filter(|_| bytes <= BYTES_MAX) else {
                continue;
            };
            kept.bytes += bytes;
            let batch = batch.clone();
            kept.batches.push_back(KeptBatch { ids, bytes, batch });
        }
        while (kept.bytes > BYTES_MAX || kept.batches.len() > BATCHES_MAX)
            && let Some(oldest) = kept.batches.pop_front()
        {
            kept.bytes -= oldest.bytes;
        }
    }

    /// Takes the messages of a batch, if they are here and read as they do from the
    /// database; fields only of those that are `wanted`.
    pub(super) fn take(
        &self,
        stored: &StoredBatch,
        wanted: Wanted<'_>,
    ) -> Option<Vec<StreamedMessage>> {
        let found = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let ids = (stored.id, stored.last_id);
            let place = kept.batches.iter().position(|kept| kept.ids == ids)?;
            let found = kept.batches.remove(place)?;
            kept.bytes -= found.bytes;
            found
        };
        let mut rows = Vec::with_capacity(found.batch.rows());
        for group in &found.batch.groups {
            for (row, _) in group.rows.views() {
                let is_wanted = wanted.kinds.contains(&row.kind_id)
                    || wanted.events && may_hold_event(row.logs);
                let logs = match is_wanted {
                    true => {
                        let text = std::str::from_utf8(row.logs).ok()?;
                        Some(is_plain(text).then(|| text.to_owned())?)
                    }
                    false => None,
                };
                rows.push(StreamedMessage {
                    message: MessageRow {
                        id: row.id.0,
                        created_at: row.created_at,
                        peer_connection_id: row.session.0,
                        kind_id: row.kind_id,
                        target: row.target.map(str::to_owned),
                        logs,
                    },
                    node_ts: row.node_time.at(row.created_at),
                    audit: group.audit,
                });
            }
        }
        Some(rows)
    }
}

/// Whether `jsonb` keeps all numbers of a JSON text as they are written: it writes
/// `1e3` as `1000`, and `-0` as `0`.
fn is_plain(json: &str) -> bool {
    let mut bytes = json.bytes();
    let mut last = b' ';
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while let Some(byte) = bytes.next()
                    && byte != b'"'
                {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            // Not of `true` and `false`, whose `e` follows a letter.
            b'e' | b'E' if last.is_ascii_digit() => return false,
            b'0' if last == b'-' => return false,
            _ => {}
        }
        last = byte;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_jsonb_writes_in_another_way_are_found() {
        for plain in [
            "{}",
            r#"{"a":1.50,"b":-1,"c":true,"d":[0,10],"e":false,"f":null}"#,
            r#"{"hash":"0x1e3-0","say \"1e3":"\\"}"#,
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [r#"{"a":1e3}"#, r#"{"a":1.5E+2}"#, "[-0]", r#"{"\"":-0.0}"#] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
