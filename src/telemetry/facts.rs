//! Facts of a node: `system.connected` and `sysinfo.hwbench`.
//!
//! Nodes write numbers as numbers or as strings, and leave out what they don't
//! know; whatever has another type than expected counts as unknown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes kept of each text of a node: names are up to 63 characters, the
/// longest facts known (distribution, processor) under 100.
const TEXT_BYTES_MAX: usize = 512;

/// `system.connected`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// libp2p identity, base58 (`network_id`).
    pub peer_id: Option<String>,
    /// Name that the operator gave.
    pub name: Option<String>,
    /// Name of the chain.
    pub chain: Option<String>,
    /// Genesis hash: the identity of the chain.
    pub genesis_hash: Option<String>,
    /// Version of the software.
    pub version: Option<String>,
    /// Name of the software.
    pub implementation: Option<String>,
    /// `config`, empty in all nodes known.
    pub config: Option<String>,
    /// Whether the node is an authority.
    pub authority: Option<bool>,
    /// Start of the process, Unix milliseconds.
    pub startup_time: Option<i64>,
    /// Operating system for which it was built.
    pub target_os: Option<String>,
    /// Processor architecture for which it was built.
    pub target_arch: Option<String>,
    /// C library for which it was built.
    pub target_env: Option<String>,
    /// Model of the processor.
    pub cpu: Option<String>,
    /// Memory of the machine, bytes.
    pub memory_bytes: Option<i64>,
    /// Physical cores.
    pub core_count: Option<i64>,
    /// Version of the kernel.
    pub linux_kernel: Option<String>,
    /// Name of the distribution.
    pub linux_distro: Option<String>,
    /// Whether it detected a virtual machine.
    pub is_virtual_machine: Option<bool>,
}

/// `sysinfo.hwbench`; scores in MiB/s.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareBenchmark {
    /// BLAKE2b-256 on one core.
    pub cpu_hashrate_score: Option<i64>,
    /// BLAKE2b-256 on several cores.
    pub parallel_cpu_hashrate_score: Option<i64>,
    /// Cores used for the parallel score.
    pub parallel_cpu_cores: Option<i64>,
    /// Memory copy.
    pub memory_memcpy_score: Option<i64>,
    /// Sequential writes to disk.
    pub disk_sequential_write_score: Option<i64>,
    /// Random writes to disk.
    pub disk_random_write_score: Option<i64>,
}

impl NodeFacts {
    /// `msg` of the messages that carry them.
    pub const KIND: &'static str = "system.connected";

    /// Reads the fields of a message; what cannot be read is unknown.
    pub fn from_fields(fields: &[u8]) -> Self {
        let fields = object(fields);
        let empty = Map::new();
        let sysinfo = match fields.get("sysinfo") {
            Some(Value::Object(sysinfo)) => sysinfo,
            _ => &empty,
        };
        Self {
            peer_id: text(&fields, "network_id"),
            name: text(&fields, "name"),
            chain: text(&fields, "chain"),
            genesis_hash: text(&fields, "genesis_hash"),
            version: text(&fields, "version"),
            implementation: text(&fields, "implementation"),
            config: text(&fields, "config"),
            authority: flag(&fields, "authority"),
            startup_time: integer(&fields, "startup_time"),
            target_os: text(&fields, "target_os"),
            target_arch: text(&fields, "target_arch"),
            target_env: text(&fields, "target_env"),
            cpu: text(sysinfo, "cpu"),
            memory_bytes: integer(sysinfo, "memory"),
            core_count: integer(sysinfo, "core_count"),
            linux_kernel: text(sysinfo, "linux_kernel"),
            linux_distro: text(sysinfo, "linux_distro"),
            is_virtual_machine: flag(sysinfo, "is_virtual_machine"),
        }
    }
}

impl HardwareBenchmark {
    /// `msg` of the messages that carry it.
    pub const KIND: &'static str = "sysinfo.hwbench";

    /// Reads the fields of a message; what cannot be read is unknown.
    pub fn from_fields(fields: &[u8]) -> Self {
        let fields = object(fields);
        Self {
            cpu_hashrate_score: integer(&fields, "cpu_hashrate_score"),
            parallel_cpu_hashrate_score: integer(&fields, "parallel_cpu_hashrate_score"),
            parallel_cpu_cores: integer(&fields, "parallel_cpu_cores"),
            memory_memcpy_score: integer(&fields, "memory_memcpy_score"),
            disk_sequential_write_score: integer(&fields, "disk_sequential_write_score"),
            disk_random_write_score: integer(&fields, "disk_random_write_score"),
        }
    }
}

fn object(fields: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(fields).unwrap_or_default()
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let text = fields.get(name)?.as_str()?;
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.get(..end).map(str::to_owned)
}

fn integer(fields: &Map<String, Value>, name: &str) -> Option<i64> {
    match fields.get(name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Option<bool> {
    fields.get(name)?.as_bool()
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
