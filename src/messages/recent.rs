//! Batches that this server stored a moment ago, still in memory: who follows the changes
//! need not read them back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memchr2;

use super::{MessageView, Wanted};
use crate::store::{Batch, RowView, StoredBatch};
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

    /// Takes batches, and gives each of their messages to `each`; fields only of those that
    /// are `wanted`. Returns what has to be read from the database: batches that are not
    /// here, and messages that read otherwise there.
    pub fn take(
        &self,
        batches: &[StoredBatch],
        wanted: Wanted<'_>,
        mut each: impl FnMut(MessageView<'_>),
    ) -> Vec<StoredBatch> {
        let mut others = Vec::new();
        for stored in batches {
            let Some(batch) = self.remove((stored.id, stored.last_id)) else {
                others.push(stored.clone());
                continue;
            };
            for group in &batch.groups {
                for (row, _) in group.rows.views() {
                    match view(&row, group.audit, wanted) {
                        Some(message) => each(message),
                        None => others.push(StoredBatch {
                            id: row.id.0,
                            last_id: row.id.0,
                            first_at: row.created_at,
                            last_at: row.created_at,
                            transaction_id: stored.transaction_id,
                        }),
                    }
                }
            }
        }
        others
    }

    fn remove(&self, ids: (i64, i64)) -> Option<Arc<Batch>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.batches.iter().position(|kept| kept.ids == ids)?;
        let found = kept.batches.remove(place)?;
        kept.bytes -= found.bytes;
        Some(found.batch)
    }
}

/// A row as it reads from the database; none if its fields read otherwise there.
fn view<'a>(row: &RowView<'a>, audit: bool, wanted: Wanted<'_>) -> Option<MessageView<'a>> {
    let is_wanted =
        wanted.kinds.contains(&row.kind_id) || wanted.events && may_hold_event(row.logs);
    let fields = match is_wanted {
        true => std::str::from_utf8(row.logs)
            .ok()
            .filter(|text| is_plain(text))?,
        false => "",
    };
    Some(MessageView {
        id: row.id.0,
        created_at: row.created_at,
        session: row.session,
        kind_id: row.kind_id,
        target: row.target,
        fields,
        node_ts: row.node_time.at(row.created_at),
        audit,
    })
}

/// Whether `jsonb` keeps all numbers of a JSON text as they are written: it writes
/// `1e3` as `1000`, and `-0` as `0`.
fn is_plain(json: &str) -> bool {
    let json = json.as_bytes();
    let (mut at, mut last) = (0, b' ');
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_text(json, at),
            // Not of `true` and `false`, whose `e` follows a letter.
            b'e' | b'E' if last.is_ascii_digit() => return false,
            b'0' if last == b'-' => return false,
            _ => {}
        }
        last = *byte;
        at += 1;
    }
    true
}

/// Where the text ends that begins at a quote.
fn end_of_text(json: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(rest) = json.get(at..)
        && let Some(found) = memchr2(b'"', b'\\', rest)
    {
        at += found;
        if json.get(at) == Some(&b'"') {
            return at;
        }
        // What follows a backslash ends no text.
        at += 2;
    }
    json.len()
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
