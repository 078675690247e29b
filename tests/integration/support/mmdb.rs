//! Writes small files in the `MaxMind` DB format, version 2.0, as those that operators have.

use std::path::Path;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

/// Bits of a record; two of them are a node of the tree.
const RECORD_BITS: u64 = 24;

/// What the two ways from a node lead to.
#[derive(Clone, Copy)]
enum Branch {
    Nothing,
    Node(usize),
    Data(usize),
}

/// Writes what is said of each network; none may lie in another.
pub fn write_mmdb(path: &Path, kind: &str, networks: &[(&str, Value)]) {
    let mut tree = vec![[Branch::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let (address, length) = place(network.parse().unwrap());
        let mut node = 0;
        for depth in 0..length - 1 {
            let way = bit(address, depth);
            node = match tree[node][way] {
                Branch::Node(next) => next,
                _ => {
                    tree.push([Branch::Nothing; 2]);
                    let next = tree.len() - 1;
                    tree[node][way] = Branch::Node(next);
                    next
                }
            };
        }
        tree[node][bit(address, length - 1)] = Branch::Data(data.len());
        encode(value, &mut data);
    }
    let mut file = Vec::new();
    for branch in tree.iter().flatten() {
        let record = match branch {
            Branch::Nothing => tree.len(),
            Branch::Node(node) => *node,
            // Counted from the start of the separator of 16 bytes.
            Branch::Data(offset) => tree.len() + 16 + offset,
        };
        file.extend(&u32::try_from(record).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = json!({
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_795_000_000, "database_type": kind,
        "description": {"en": "of a test"}, "ip_version": 6, "languages": ["en"], "node_count": tree.len(), "record_size": RECORD_BITS,
    });
    encode(&metadata, &mut file);
    // As those who keep such files up to date do it.
    let beside = path.with_extension("new");
    std::fs::write(&beside, file).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// Networks of IPv4 are those of IPv6 that begin with 96 zeros.
fn place(network: IpNet) -> (u128, u8) {
    match network {
        IpNet::V4(network) => (
            u128::from(u32::from(network.network())),
            96 + network.prefix_len(),
        ),
        IpNet::V6(network) => (u128::from(network.network()), network.prefix_len()),
    }
}

fn bit(address: u128, depth: u8) -> usize {
    usize::from(address >> (127 - depth) & 1 == 1)
}

/// A value: its type and length in a byte or more, then its content.
fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => encode_map(members, out),
        Value::Array(items) => {
            // Types above 7 stand in a byte of their own.
            head(0, items.len(), out);
            out.push(11 - 7);
            items.iter().for_each(|item| encode(item, out));
        }
        Value::String(text) => {
            head(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        other => panic!("{other} is not written"),
    }
}

fn encode_map(members: &Map<String, Value>, out: &mut Vec<u8>) {
    head(7, members.len(), out);
    for (name, value) in members {
        encode(&json!(name), out);
        match value.as_u64() {
            Some(number) => encode_number(name, number, out),
            None => encode(value, out),
        }
    }
}

/// Each number of the metadata has a type of its own.
fn encode_number(name: &str, number: u64, out: &mut Vec<u8>) {
    match name {
        "build_epoch" => {
            head(0, 8, out);
            out.push(9 - 7);
            out.extend(number.to_be_bytes());
        }
        "node_count" => {
            head(6, 4, out);
            out.extend(u32::try_from(number).unwrap().to_be_bytes());
        }
        _ => {
            head(5, 2, out);
            out.extend(u16::try_from(number).unwrap().to_be_bytes());
        }
    }
}

fn head(kind: u8, length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length).unwrap() {
        short @ 0..=28 => out.push(kind << 5 | short),
        long => out.extend([kind << 5 | 29, long - 29]),
    }
}
