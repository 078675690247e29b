//! Messages as rows, in the binary form of COPY, written once by the session
//! that read them and sent to the database as they are.
//!
//! The form is documented with COPY in the manual of PostgreSQL: the number of
//! fields (16 bits), then each field with its length (32 bits, -1 for NULL),
//! all in network order. Every row begins with the same fixed fields, so a kind
//! that the database has no number for yet can be filled in later.

use chrono::{DateTime, TimeZone, Utc};

use super::UNLISTED;
use super::node_time::NodeTime;
use crate::ids::{KindIndex, MessageId, SessionId};
use crate::telemetry::write_with_kind;

/// Header of COPY: signature, flags, no extension.
pub(super) const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Trailer of COPY, after the last row.
pub(super) const COPY_TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Columns of a row, in this order: `id`, `created_at`, `peer_connection_id`,
/// `kind_id`, `node_ts`, `target`, `logs`, `node_delta_us`.
const FIELDS: i16 = 8;
/// Columns before `node_delta_us` came, see [`widen`].
const FIELDS_BEFORE_DELTA: i16 = 7;
/// From the start of a row to the value of `id`.
const ID_OFFSET: usize = 2 + 4;
/// From the start of a row to the value of `peer_connection_id`.
const SESSION_OFFSET: usize = 2 + 2 * (4 + 8) + 4;
/// From the start of a row to the value of `kind_id`.
const KIND_OFFSET: usize = 2 + 3 * (4 + 8) + 4;
/// Fields before `logs`.
const FIELDS_BEFORE_LOGS: usize = 6;
/// Version of the binary form of `jsonb`, its only one.
const JSONB_VERSION: u8 = 1;
/// 2000-01-01, where PostgreSQL starts to count, in microseconds of Unix time.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Number of the kind in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// Known.
    Stored(i16),
    /// The database has none yet; the writer fills it in.
    Pending(KindIndex),
}

/// What the dictionary has for a kind that was pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FoundKind {
    /// Its number.
    Numbered(i16),
    /// No room: its messages have its name among their fields.
    Unlisted(String),
}

/// One message, ready to become a row. Its number comes later, see
/// [`RowBuffer::number`].
#[derive(Debug, Clone, Copy)]
pub struct NewRow<'a> {
    /// When it was read from the socket.
    pub created_at: DateTime<Utc>,
    /// Session.
    pub session: SessionId,
    /// Kind.
    pub kind: RowKind,
    /// What the node claimed.
    pub node_time: NodeTime,
    /// Field `target`.
    pub target: Option<&'a str>,
}

/// Rows one after the other.
#[derive(Debug, Default, Clone)]
pub struct RowBuffer {
    bytes: Vec<u8>,
    count: usize,
    pending_kinds: Vec<(usize, KindIndex)>,
}

/// A row, read back from its binary form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowView<'a> {
    /// Number of the message.
    pub id: MessageId,
    /// When it was read from the socket.
    pub created_at: DateTime<Utc>,
    /// Session.
    pub session: SessionId,
    /// Kind, as numbered by the database.
    pub kind_id: i16,
    /// What the node claimed.
    pub node_time: NodeTime,
    /// Field `target`.
    pub target: Option<&'a str>,
    /// The fields as JSON text.
    pub logs: &'a [u8],
}

impl RowBuffer {
    /// Adds a row; `write_logs` writes the fields as JSON text.
    pub fn push(&mut self, row: &NewRow<'_>, write_logs: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        let kind_id = match row.kind {
            RowKind::Stored(kind_id) => kind_id,
            RowKind::Pending(index) => {
                self.pending_kinds.push((start + KIND_OFFSET, index));
                0
            }
        };
        let out = &mut self.bytes;
        out.extend_from_slice(&FIELDS.to_be_bytes());
        put_i64(out, 0);
        put_i64(out, micros(row.created_at));
        put_i64(out, row.session.0);
        out.extend_from_slice(&2_i32.to_be_bytes());
        out.extend_from_slice(&kind_id.to_be_bytes());
        match row.node_time {
            NodeTime::Full(node_ts) => put_i64(out, micros(node_ts)),
            NodeTime::Delta(_) | NodeTime::Unknown => put_length(out, None),
        }
        put_length(out, row.target.map(str::len));
        out.extend_from_slice(row.target.unwrap_or_default().as_bytes());
        let length_at = out.len();
        put_length(out, Some(0));
        out.push(JSONB_VERSION);
        write_logs(out);
        let length = i32::try_from(out.len() - length_at - 4).unwrap_or(i32::MAX);
        if let Some(place) = out.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        match row.node_time {
            NodeTime::Delta(delta_us) => {
                put_length(out, Some(4));
                out.extend_from_slice(&delta_us.to_be_bytes());
            }
            NodeTime::Full(_) | NodeTime::Unknown => put_length(out, None),
        }
        self.count += 1;
    }

    /// Gives each row its number, in their order.
    pub fn number(&mut self, mut next: impl FnMut() -> MessageId) {
        let mut start = 0;
        while let Some((row, _)) = self.bytes.get(start..).and_then(split_row) {
            let end = start + row.len();
            let id = start + ID_OFFSET;
            if let Some(place) = self.bytes.get_mut(id..id + 8) {
                place.copy_from_slice(&next().0.to_be_bytes());
            }
            start = end;
        }
    }

    /// Keeps only the rows at these places, which ascend; the first row is 0.
    pub fn keep(&mut self, places: &[usize]) {
        let mut kept = Self::default();
        let mut start = 0;
        let mut pending = self.pending_kinds.iter().peekable();
        for (place, row) in self.slices().into_iter().enumerate() {
            let kind = pending.next_if(|(offset, _)| *offset == start + KIND_OFFSET);
            start += row.len();
            if places.binary_search(&place).is_err() {
                continue;
            }
            if let Some((_, index)) = kind {
                let offset = kept.bytes.len() + KIND_OFFSET;
                kept.pending_kinds.push((offset, *index));
            }
            kept.bytes.extend_from_slice(row);
            kept.count += 1;
        }
        *self = kept;
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The session of the first row.
    pub(super) fn first_session(&self) -> Option<SessionId> {
        get_i64(self.bytes.get(SESSION_OFFSET..SESSION_OFFSET + 8)?).map(SessionId)
    }

    /// The rows in the binary form of COPY.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Rows that were written before, with kinds that are still pending and
    /// kinds that have got their number since.
    pub(super) fn restore(
        bytes: Vec<u8>,
        count: usize,
        pending_kinds: Vec<(usize, KindIndex)>,
        found_kinds: Vec<(usize, FoundKind)>,
    ) -> Self {
        let mut rows = Self {
            bytes,
            count,
            pending_kinds,
        };
        rows.set_kinds(found_kinds);
        rows
    }

    /// Kinds that the database has no number for yet, by their place.
    pub(super) fn pending(&self) -> &[(usize, KindIndex)] {
        &self.pending_kinds
    }

    /// Kinds that the database has no number for yet.
    pub(super) fn pending_kinds(&self) -> impl Iterator<Item = KindIndex> {
        self.pending_kinds.iter().map(|(_, index)| *index)
    }

    /// Fills in the kinds that were pending.
    pub(super) fn fill_in_kinds(&mut self, find: impl Fn(KindIndex) -> FoundKind) {
        let pending = std::mem::take(&mut self.pending_kinds).into_iter();
        self.set_kinds(pending.map(|(offset, index)| (offset, find(index))));
    }

    /// Sets kinds by their places, which ascend.
    fn set_kinds(&mut self, kinds: impl IntoIterator<Item = (usize, FoundKind)>) {
        let mut unlisted = Vec::new();
        for (offset, kind) in kinds {
            let kind_id = match kind {
                FoundKind::Numbered(kind_id) => kind_id,
                FoundKind::Unlisted(name) => {
                    unlisted.push((offset, name));
                    UNLISTED
                }
            };
            if let Some(place) = self.bytes.get_mut(offset..offset.saturating_add(2)) {
                place.copy_from_slice(&kind_id.to_be_bytes());
            }
        }
        if !unlisted.is_empty() {
            self.name_kinds(&unlisted);
        }
    }

    /// Puts the names of kinds among the fields of the rows with these places.
    fn name_kinds(&mut self, names: &[(usize, String)]) {
        let mut named = Self {
            count: self.count,
            ..Self::default()
        };
        let mut names = names.iter().peekable();
        let mut pending = self.pending_kinds.iter().peekable();
        let mut start = 0;
        for row in self.slices() {
            let place = start + KIND_OFFSET;
            start += row.len();
            if let Some((_, index)) = pending.next_if(|(offset, _)| *offset == place) {
                let offset = named.bytes.len() + KIND_OFFSET;
                named.pending_kinds.push((offset, *index));
            }
            let name = names.next_if(|(offset, _)| *offset == place);
            let with_name = name.and_then(|(_, name)| with_name(row, name));
            let row = with_name.as_deref().unwrap_or(row);
            named.bytes.extend_from_slice(row);
        }
        *self = named;
    }

    /// The rows, each with its kind if the database had no number for it yet.
    pub fn views(&self) -> impl Iterator<Item = (RowView<'_>, Option<KindIndex>)> {
        let mut rest = self.bytes.as_slice();
        let mut start = 0;
        let mut pending = self.pending_kinds.iter().peekable();
        std::iter::from_fn(move || {
            let (row, tail) = split_row(rest)?;
            let kind = pending.next_if(|(offset, _)| *offset == start + KIND_OFFSET);
            (rest, start) = (tail, start + row.len());
            Some((RowView::read(row)?, kind.map(|(_, index)| *index)))
        })
    }

    /// The binary form of each row by itself.
    pub(super) fn slices(&self) -> Vec<&[u8]> {
        let mut slices = Vec::with_capacity(self.count);
        let mut rest = self.bytes.as_slice();
        while let Some((row, tail)) = split_row(rest) {
            slices.push(row);
            rest = tail;
        }
        slices
    }
}

impl<'a> RowView<'a> {
    /// Reads the binary form of one row.
    pub(super) fn read(row: &'a [u8]) -> Option<Self> {
        let mut rest = row.get(2..)?;
        let mut field = || {
            let (value, tail) = split_field(rest)?;
            rest = tail;
            Some(value)
        };
        let mut view = Self {
            id: MessageId(get_i64(field()??)?),
            created_at: get_time(field()??)?,
            session: SessionId(get_i64(field()??)?),
            kind_id: i16::from_be_bytes(field()??.try_into().ok()?),
            node_time: field()?
                .and_then(get_time)
                .map_or(NodeTime::Unknown, NodeTime::Full),
            target: field()?.and_then(|text| std::str::from_utf8(text).ok()),
            logs: field()??.get(1..)?,
        };
        if let Some(delta_us) = field()? {
            view.node_time = NodeTime::Delta(i32::from_be_bytes(delta_us.try_into().ok()?));
        }
        Some(view)
    }
}

/// A row with the name of its kind as the first of its fields.
fn with_name(row: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut rest = row.get(2..)?;
    for _ in 0..FIELDS_BEFORE_LOGS {
        rest = split_field(rest)?.1;
    }
    let (logs, after) = split_field(rest)?;
    let members = logs?.strip_prefix(&[JSONB_VERSION, b'{'])?;
    let members = members.strip_suffix(b"}")?;
    let mut named = vec![JSONB_VERSION];
    write_with_kind(name, |out| out.extend_from_slice(members), &mut named);
    let mut out = row.get(..row.len() - rest.len())?.to_vec();
    put_length(&mut out, Some(named.len()));
    out.extend_from_slice(&named);
    out.extend_from_slice(after);
    Some(out)
}

fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros() - EPOCH_MICROS
}

fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_length(out, Some(8));
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_length(out: &mut Vec<u8>, length: Option<usize>) {
    let length = length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX));
    out.extend_from_slice(&length.to_be_bytes());
}

fn get_i64(field: &[u8]) -> Option<i64> {
    field.try_into().ok().map(i64::from_be_bytes)
}

fn get_time(field: &[u8]) -> Option<DateTime<Utc>> {
    let micros = get_i64(field)?.checked_add(EPOCH_MICROS)?;
    Utc.timestamp_micros(micros).single()
}

/// The field at the start of `bytes`, and what follows it.
fn split_field(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => {
            let (value, rest) = rest.split_at_checked(length)?;
            Some((Some(value), rest))
        }
        Err(_negative) => Some((None, rest)),
    }
}

/// The row at the start of `bytes`, and what follows it.
fn split_row(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    split_row_of(FIELDS, bytes)
}

fn split_row_of(fields: i16, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes.get(2..)?;
    for _ in 0..fields {
        rest = split_field(rest)?.1;
    }
    bytes.split_at_checked(bytes.len() - rest.len())
}

/// Rows as they were written before `node_delta_us` came, in today's form. The
/// places of kinds, which ascend, move with them. None if these are no such rows.
pub(super) fn widen<'a>(
    mut rest: &[u8],
    kinds: impl IntoIterator<Item = &'a mut usize>,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(rest.len() + rest.len() / 16);
    let mut kinds = kinds.into_iter().peekable();
    let mut start = 0;
    while !rest.is_empty() {
        let (row, tail) = split_row_of(FIELDS_BEFORE_DELTA, rest)?;
        if let Some(place) = kinds.next_if(|place| **place == start + KIND_OFFSET) {
            *place = out.len() + KIND_OFFSET;
        }
        out.extend_from_slice(&FIELDS.to_be_bytes());
        out.extend_from_slice(row.get(2..)?);
        put_length(&mut out, None);
        (start, rest) = (start + row.len(), tail);
    }
    kinds.next().is_none().then_some(out)
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
