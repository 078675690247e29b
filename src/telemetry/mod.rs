//! Decoding of telemetry: bytes in, values out. Pure: no clock, no I/O, no state.
//!
//! [`decode`] understands one frame, in both formats that nodes have ever used;
//! `facts` is the table of the facts of a node, `reading` has what it reports while it
//! runs, `scalar` reads numbers and `time` times, `events` finds structured events in messages; `scan` is the JSON reader beneath, `repair`
//! replaces what PostgreSQL would refuse, and `redact` removes IP addresses for
//! readers without the right to see them.

mod authoring;
mod authorities;
mod decode;
pub mod events;
mod facts;
mod heartbeat;
mod known_kinds;
mod reading;
mod redact;
mod repair;
mod scalar;

mod scan;
mod time;

pub use authoring::{Authoring, BlockHash, block_hash};
pub use authorities::AuthorityId;
pub use decode::{DecodeError, Fields, Format, Message, decode, write_with_kind};
pub use facts::{Fact, Formats, HardwareBenchmark, JsonType, NodeFacts};
pub use heartbeat::{
    Heartbeat, INTERVAL_S_DEFAULT, INTERVAL_S_MAX, METRICS_BYTES_MAX, is_name as is_service_name,
};
pub use known_kinds::{ERROR_KINDS, KNOWN_KINDS, is_known_kind};
pub use reading::{Block, FinalizedUpTo, Origin, PoolImport, Reading, Span};
pub use redact::hide_addresses;
pub use repair::is_storable;
pub use scalar::{integer, number};

pub use time::parse_time;
