//! What a node says: bytes in, values out. Pure: no clock, no I/O, no state.
//!
//! [`decode`] understands one frame, in both formats that nodes have ever used;
//! `facts` reads what a node tells about itself; `scan` is the JSON reader
//! beneath, `repair` mends what PostgreSQL would refuse, and `redact` hides what not
//! every reader may see.

mod decode;
mod facts;
mod reading;
mod redact;
mod repair;
mod scan;

pub use decode::{DecodeError, Fields, Format, Message, decode};
pub use facts::{HardwareBenchmark, NodeFacts};
pub use reading::{Block, PoolImport, Reading, integer};
pub use redact::hide_addresses;
