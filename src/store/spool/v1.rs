//! The first version of the format: no sections, and rows without `node_delta_us`.
//!
//! ```text
//! sessions: length u32 | JSON
//! groups:   count u32, then each: audit u8 | rows u32 | kinds without number | length u32 | rows
//! ```

use super::record::{Contents, Reader, RecordError, read_sessions};
use crate::store::rows::widen;

/// Reads what follows the header; rows come out in today's form.
pub(super) fn read(body: &[u8]) -> Result<Contents<'_>, RecordError> {
    let mut reader = Reader(body);
    let mut contents = Contents {
        sessions: read_sessions(reader.bytes()?)?,
        messages: Vec::new(),
    };
    for _ in 0..reader.u32()? {
        let mut group = reader.messages()?;
        let places = group.kinds.iter_mut().map(|(place, _)| place);
        group.rows = widen(reader.bytes()?, places).ok_or(RecordError::Torn)?;
        contents.messages.push(group);
    }
    Ok(contents)
}
