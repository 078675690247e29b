//! A batch as a file: a header, then the batch, each with a checksum, so that
//! a file that was torn by a crash is known for what it is.
//!
//! ```text
//! "TETSPOOL" | version u32 | rows u32 | length u64 | CRC of what follows u32 | CRC of the header u32
//! sections up to the end, each: kind u8 | length u32 | content
//!   1  sessions: JSON
//!   2  messages: audit u8 | rows u32 | kinds without number | rows in the form of COPY
//! ```
//!
//! Numbers are little-endian; texts carry their length as `u32`. The header is the
//! same in every version, so that each program knows a whole file of another
//! version from a torn one. A new kind of section, or another form of rows, is a
//! new version; the version before is read, see `v1.rs`. `golden/` has a file of
//! each.

use std::time::Instant;

use super::v1;
use crate::ids::KindIndex;
use crate::store::rows::FoundKind;
use crate::store::{Batch, Group, Kinds, RowBuffer, RowKind, SessionRow, UNLISTED};

const MAGIC: &[u8; 8] = b"TETSPOOL";

/// Version that is written.
pub(super) const VERSION: u32 = 2;

/// Oldest version that is read.
pub(super) const VERSION_MIN: u32 = 1;

const SESSIONS: u8 = 1;
const MESSAGES: u8 = 2;

/// Length of the header.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 4 + 4;

/// Why a file is no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// It was not written to its end, or was changed since.
    #[error("the file is torn")]
    Torn,
    /// It is whole, but of a version that this program does not know.
    #[error(
        "the file has version {0} of the format, this program reads {VERSION_MIN} to {VERSION}"
    )]
    Version(u32),
    /// It is whole and of a known version, but has a part that this version has not.
    #[error("the file has a section of the unknown kind {0}")]
    Section(u8),
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    version: u32,
    pub(super) rows: u32,
    length: u64,
    checksum: u32,
}

/// The bytes of a file.
pub(super) fn encode(batch: &Batch, kinds: &Kinds) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.bytes() + 1_024);
    put_section(&mut body, SESSIONS, |out| {
        let sessions = serde_json::to_vec(&Batch::newest_sessions(&[batch]));
        out.extend_from_slice(&sessions.unwrap_or_else(|_| b"[]".to_vec()));
    });
    for group in &batch.groups {
        put_section(&mut body, MESSAGES, |out| put_messages(out, group, kinds));
    }
    let mut file = Vec::with_capacity(HEADER_BYTES + body.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    put_u32(&mut file, batch.rows());
    file.extend_from_slice(&u64::try_from(body.len()).unwrap_or(u64::MAX).to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    let header_checksum = crc32fast::hash(&file);
    file.extend_from_slice(&header_checksum.to_le_bytes());
    file.extend_from_slice(&body);
    file
}

fn put_section(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let length_at = out.len();
    put_u32(out, 0);
    write(out);
    let length = u32::try_from(out.len() - length_at - 4).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(length_at..length_at + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn put_messages(out: &mut Vec<u8>, group: &Group, kinds: &Kinds) {
    out.push(u8::from(group.audit));
    put_u32(out, group.rows.count());
    // Numbers of this process mean nothing to the next one.
    let pending = group.rows.pending();
    put_u32(out, pending.len());
    for (offset, index) in pending {
        put_u32(out, *offset);
        put_bytes(out, kinds.name_of(*index).as_bytes());
    }
    out.extend_from_slice(group.rows.bytes());
}

/// Reads the header of a file.
pub(super) fn header(file: &[u8]) -> Result<Header, RecordError> {
    let mut reader = Reader(file);
    let checked = file.get(..HEADER_BYTES - 4).ok_or(RecordError::Torn)?;
    if reader.take(8)? != MAGIC {
        return Err(RecordError::Torn);
    }
    let header = Header {
        version: reader.u32()?,
        rows: reader.u32()?,
        length: reader.u64()?,
        checksum: reader.u32()?,
    };
    if reader.u32()? != crc32fast::hash(checked) {
        return Err(RecordError::Torn);
    }
    if !(VERSION_MIN..=VERSION).contains(&header.version) {
        return Err(RecordError::Version(header.version));
    }
    Ok(header)
}

/// Reads a batch back.
pub(super) fn decode(file: &[u8], kinds: &Kinds) -> Result<Batch, RecordError> {
    let header = header(file)?;
    let body = file.get(HEADER_BYTES..).ok_or(RecordError::Torn)?;
    if u64::try_from(body.len()) != Ok(header.length) || crc32fast::hash(body) != header.checksum {
        return Err(RecordError::Torn);
    }
    let read = match header.version {
        1 => v1::read(body)?,
        _ => read_sections(body)?,
    };
    Ok(read.into_batch(kinds))
}

/// What is in a file.
pub(super) struct Contents<'a> {
    pub(super) sessions: Vec<SessionRow>,
    pub(super) messages: Vec<Messages<'a>>,
}

/// Messages of a file; kinds by their names, with their places in the rows.
pub(super) struct Messages<'a> {
    pub(super) audit: bool,
    pub(super) count: usize,
    pub(super) kinds: Vec<(usize, &'a str)>,
    pub(super) rows: Vec<u8>,
}

fn read_sections(body: &[u8]) -> Result<Contents<'_>, RecordError> {
    let mut contents = Contents {
        sessions: Vec::new(),
        messages: Vec::new(),
    };
    let mut reader = Reader(body);
    while !reader.0.is_empty() {
        let [kind] = reader.array()?;
        let content = reader.bytes()?;
        match kind {
            SESSIONS => contents.sessions.extend(read_sessions(content)?),
            MESSAGES => {
                let mut reader = Reader(content);
                let mut messages = reader.messages()?;
                messages.rows = reader.0.to_vec();
                contents.messages.push(messages);
            }
            unknown => return Err(RecordError::Section(unknown)),
        }
    }
    Ok(contents)
}

pub(super) fn read_sessions(json: &[u8]) -> Result<Vec<SessionRow>, RecordError> {
    serde_json::from_slice(json).map_err(|_changed| RecordError::Torn)
}

impl Contents<'_> {
    fn into_batch(self, kinds: &Kinds) -> Batch {
        let groups = self.messages.into_iter();
        let mut groups: Vec<Group> = groups.map(|group| group.into_group(kinds)).collect();
        match groups.first_mut() {
            Some(first) => first.sessions = self.sessions,
            None => groups.push(Group {
                rows: RowBuffer::default(),
                sessions: self.sessions,
                audit: false,
                received_at: Instant::now(),
                kept: None,
            }),
        }
        Batch { groups }
    }
}

impl Messages<'_> {
    fn into_group(self, kinds: &Kinds) -> Group {
        let mut pending: Vec<(usize, KindIndex)> = Vec::new();
        let mut found: Vec<(usize, FoundKind)> = Vec::new();
        for (offset, name) in self.kinds {
            match kinds.find(name) {
                RowKind::Pending(index) => pending.push((offset, index)),
                // The dictionary has filled up meanwhile.
                RowKind::Stored(UNLISTED) => {
                    found.push((offset, FoundKind::Unlisted(name.to_owned())));
                }
                RowKind::Stored(kind_id) => found.push((offset, FoundKind::Numbered(kind_id))),
            }
        }
        Group {
            rows: RowBuffer::restore(self.rows, self.count, pending, found),
            sessions: Vec::new(),
            audit: self.audit,
            received_at: Instant::now(),
            kept: None,
        }
    }
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::Torn)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(RecordError::Torn)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    fn size(&mut self) -> Result<usize, RecordError> {
        usize::try_from(self.u32()?).map_err(|_too_large| RecordError::Torn)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.size()?;
        self.take(length)
    }

    /// What stands before the rows.
    pub(super) fn messages(&mut self) -> Result<Messages<'a>, RecordError> {
        let audit = self.array()? != [0];
        let count = self.size()?;
        let mut kinds = Vec::new();
        for _ in 0..self.u32()? {
            let offset = self.size()?;
            let name = std::str::from_utf8(self.bytes()?).map_err(|_changed| RecordError::Torn)?;
            kinds.push((offset, name));
        }
        Ok(Messages {
            audit,
            count,
            kinds,
            rows: Vec::new(),
        })
    }
}

fn put_u32(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}
