//! Facts of a node: the one table of their names, types, units, and the messages that
//! carry them.
//!
//! Sessions, projections and the feed take them from here. Answers and pages list them
//! under the same names with what is theirs alone (which one is never null, title,
//! width); a test (`tests/integration/facts.rs`) compares columns, comments, OpenAPI and
//! JavaScript with this table. Nodes write numbers as numbers or as strings, and leave
//! out what is unknown; so is whatever has another type than expected.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::scalar::integer;

/// Bytes kept of each text of a node: names are up to 63 characters, the
/// longest facts known (distribution, processor) under 100.
const TEXT_BYTES_MAX: usize = 512;

/// A fact of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// Name of the column, of the field in answers, and of the column of pages.
    pub name: &'static str,
    /// Type in answers.
    pub json: JsonType,
    /// Unit, as comments and pages say it; empty for none.
    pub unit: &'static str,
    /// `msg` of the messages that carry it, and their field; with a dot within another.
    pub sources: &'static [(&'static str, &'static str)],
    /// The formats that carry it.
    pub formats: Formats,
}

/// Type of a fact in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Flag,
}

/// Which nodes say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formats {
    /// Those of all times.
    Both,
    /// Those since 2021.
    V2,
}

/// Makes a type with facts of one kind of message, their table, and their reading.
macro_rules! facts {
    (
        $(#[$about:meta])*
        $name:ident of $kind:literal {
            $( $(#[$meaning:meta])* $fact:ident: $json:ident in $unit:literal from $field:literal, $formats:ident; )*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub struct $name {
            $( $(#[$meaning])* pub $fact: Option<facts!(@type $json)>, )*
        }

        impl $name {
            /// `msg` of the messages that carry them.
            pub const KIND: &'static str = $kind;

            /// What they are, each with its source.
            pub const FACTS: &'static [Fact] = &[
                $( Fact {
                    name: stringify!($fact),
                    json: JsonType::$json,
                    unit: $unit,
                    sources: &[($kind, $field)],
                    formats: Formats::$formats,
                }, )*
            ];

            /// Reads the fields of a message; what cannot be read is unknown.
            pub fn from_fields(fields: &[u8]) -> Self {
                let fields = object(fields);
                Self {
                    $( $fact: field(&fields, $field).and_then(facts!(@read $json)), )*
                }
            }
        }
    };
    (@type Text) => { String };
    (@type Integer) => { i64 };
    (@type Flag) => { bool };
    (@read Text) => { text };
    (@read Integer) => { integer };
    (@read Flag) => { Value::as_bool };
}

facts! {
    /// `system.connected`.
    NodeFacts of "system.connected" {
        /// libp2p identity, base58.
        peer_id: Text in "" from "network_id", Both;
        /// Name that the operator gave.
        name: Text in "" from "name", Both;
        /// Name of the chain.
        chain: Text in "" from "chain", Both;
        /// Genesis hash: the identity of the chain.
        genesis_hash: Text in "" from "genesis_hash", Both;
        /// Version of the software.
        version: Text in "" from "version", Both;
        /// Name of the software.
        implementation: Text in "" from "implementation", Both;
        /// `config`, empty in all nodes known.
        config: Text in "" from "config", Both;
        /// Whether the node is an authority.
        authority: Flag in "" from "authority", Both;
        /// Start of the process, Unix milliseconds.
        startup_time: Integer in "Unix milliseconds" from "startup_time", Both;
        /// Operating system for which it was built.
        target_os: Text in "" from "target_os", V2;
        /// Processor architecture for which it was built.
        target_arch: Text in "" from "target_arch", V2;
        /// C library for which it was built.
        target_env: Text in "" from "target_env", V2;
        /// Model of the processor.
        cpu: Text in "" from "sysinfo.cpu", V2;
        /// Memory of the machine, bytes.
        memory_bytes: Integer in "bytes" from "sysinfo.memory", V2;
        /// Physical cores.
        core_count: Integer in "" from "sysinfo.core_count", V2;
        /// Version of the kernel.
        linux_kernel: Text in "" from "sysinfo.linux_kernel", V2;
        /// Name of the distribution.
        linux_distro: Text in "" from "sysinfo.linux_distro", V2;
        /// Whether it detected a virtual machine.
        is_virtual_machine: Flag in "" from "sysinfo.is_virtual_machine", V2;
    }
}

facts! {
    /// `sysinfo.hwbench`; scores in MiB/s.
    HardwareBenchmark of "sysinfo.hwbench" {
        /// BLAKE2b-256 on one core.
        cpu_hashrate_score: Integer in "MiB/s" from "cpu_hashrate_score", V2;
        /// BLAKE2b-256 on several cores.
        parallel_cpu_hashrate_score: Integer in "MiB/s" from "parallel_cpu_hashrate_score", V2;
        /// Cores used for the parallel score.
        parallel_cpu_cores: Integer in "" from "parallel_cpu_cores", V2;
        /// Memory copy.
        memory_memcpy_score: Integer in "MiB/s" from "memory_memcpy_score", V2;
        /// Sequential writes to disk.
        disk_sequential_write_score: Integer in "MiB/s" from "disk_sequential_write_score", V2;
        /// Random writes to disk.
        disk_random_write_score: Integer in "MiB/s" from "disk_random_write_score", V2;
    }
}

fn object(fields: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(fields).unwrap_or_default()
}

/// A field, or with a dot one within another.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        Some((outer, inner)) => fields.get(outer)?.get(inner),
        None => fields.get(name),
    }
}

fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.get(..end).map(str::to_owned)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_strings_are_read_and_odd_types_are_unknown() {
        let facts = NodeFacts::from_fields(
            br#"{"name":"n","startup_time":"1795248624569","authority":"yes","sysinfo":{"memory":67448651776,"cpu":null,"core_count":1e300}}"#,
        );
        assert_eq!(facts.name.as_deref(), Some("n"));
        assert_eq!(facts.startup_time, Some(1_795_248_624_569));
        assert_eq!(facts.memory_bytes, Some(67_448_651_776));
        assert_eq!(
            (facts.authority, facts.cpu, facts.core_count),
            (None, None, None)
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let name = "é".repeat(400);
        let facts = NodeFacts::from_fields(format!(r#"{{"name":"{name}"}}"#).as_bytes());
        assert_eq!(facts.name.unwrap().len(), TEXT_BYTES_MAX);
        assert_eq!(NodeFacts::from_fields(b"no json"), NodeFacts::default());
    }
}
