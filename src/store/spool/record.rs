//! A batch as a file: a header, then the batch, each with a checksum, so that
//! a file that was torn by a crash is known for what it is.
//!
//! ```text
//! "TETSPOOL" | version u32 | rows u32 | length u64 | CRC of what follows u32 | CRC of the header u32
//! sessions: count-prefixed JSON
//! groups:   count, then each: audit u8 | rows u32 | kinds without number | row bytes
//! ```
//!
//! Numbers are little-endian; texts and bytes carry their length as `u32`.

use std::time::Instant;

use crate::ids::KindIndex;
use crate::store::{Batch, Group, Kinds, RowBuffer, RowKind, SessionRow, UNLISTED};

const MAGIC: &[u8; 8] = b"TETSPOOL";
const VERSION: u32 = 1;

/// Length of the header.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 4 + 4;

/// Why a file is no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// It was not written to its end, or was changed since.
    #[error("the file is torn")]
    Torn,
    /// It comes from another version of the program.
    #[error("the file has version {0}, this program knows {VERSION}")]
    Version(u32),
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) rows: u32,
    length: u64,
    checksum: u32,
}

/// The bytes of a file.
pub(super) fn encode(batch: &Batch, kinds: &Kinds) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.bytes() + 1_024);
    let sessions =
        serde_json::to_vec(&Batch::newest_sessions(&[batch])).unwrap_or_else(|_| b"[]".to_vec());
    put_bytes(&mut body, &sessions);
    put_u32(&mut body, batch.groups.len());
    for group in &batch.groups {
        body.push(u8::from(group.audit));
        put_u32(&mut body, group.rows.count());
        // Numbers of this process mean nothing to the next one.
        let pending = group.rows.pending();
        put_u32(&mut body, pending.len());
        for (offset, index) in pending {
            put_u32(&mut body, *offset);
            put_bytes(&mut body, kinds.name_of(*index).as_bytes());
        }
        put_bytes(&mut body, group.rows.bytes());
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

/// Reads the header of a file.
pub(super) fn header(file: &[u8]) -> Result<Header, RecordError> {
    let mut reader = Reader(file);
    let checked = file.get(..HEADER_BYTES - 4).ok_or(RecordError::Torn)?;
    if reader.take(8)? != MAGIC {
        return Err(RecordError::Torn);
    }
    let version = reader.u32()?;
    let header = Header {
        rows: reader.u32()?,
        length: reader.u64()?,
        checksum: reader.u32()?,
    };
    if reader.u32()? != crc32fast::hash(checked) {
        return Err(RecordError::Torn);
    }
    if version != VERSION {
        return Err(RecordError::Version(version));
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
    let mut reader = Reader(body);
    let sessions: Vec<SessionRow> =
        serde_json::from_slice(reader.bytes()?).map_err(|_changed| RecordError::Torn)?;
    let group_count = reader.u32()?;
    let mut groups = Vec::new();
    for _ in 0..group_count {
        groups.push(reader.group(kinds)?);
    }
    match groups.first_mut() {
        Some(first) => first.sessions = sessions,
        None => groups.push(Group {
            rows: RowBuffer::default(),
            sessions,
            audit: false,
            received_at: Instant::now(),
        }),
    }
    Ok(Batch { groups })
}

struct Reader<'a>(&'a [u8]);

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

    fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    fn size(&mut self) -> Result<usize, RecordError> {
        usize::try_from(self.u32()?).map_err(|_too_large| RecordError::Torn)
    }

    fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.size()?;
        self.take(length)
    }

    fn group(&mut self, kinds: &Kinds) -> Result<Group, RecordError> {
        let audit = self.array::<1>()? != [0];
        let count = self.size()?;
        let pending_count = self.u32()?;
        let mut pending: Vec<(usize, KindIndex)> = Vec::new();
        let mut stored: Vec<(usize, i16)> = Vec::new();
        for _ in 0..pending_count {
            let offset = self.size()?;
            let name = std::str::from_utf8(self.bytes()?).map_err(|_changed| RecordError::Torn)?;
            match kinds.find(name) {
                RowKind::Pending(index) => pending.push((offset, index)),
                RowKind::Stored(kind_id) if kind_id != UNLISTED => stored.push((offset, kind_id)),
                // The dictionary has filled up meanwhile.
                RowKind::Stored(_) => stored.push((offset, UNLISTED)),
            }
        }
        let rows = RowBuffer::restore(self.bytes()?.to_vec(), count, pending, &stored);
        Ok(Group {
            rows,
            sessions: Vec::new(),
            audit,
            received_at: Instant::now(),
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
