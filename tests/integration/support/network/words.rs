//! What the made-up network is called, and what it runs on.

use crate::support::Random;

const STARS: [&str; 20] = [
    "altair",
    "bellatrix",
    "canopus",
    "deneb",
    "electra",
    "fomalhaut",
    "gacrux",
    "hadar",
    "izar",
    "kochab",
    "larawag",
    "mimosa",
    "nunki",
    "okab",
    "procyon",
    "rigel",
    "sirius",
    "toliman",
    "unukalhai",
    "vega",
];

const BASE_58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// A machine that nodes run on.
pub(super) struct Machine {
    pub(super) cpu: &'static str,
    pub(super) arch: &'static str,
    pub(super) distro: &'static str,
    pub(super) cores: u64,
    pub(super) memory_gib: u64,
    pub(super) is_virtual: bool,
    /// MiB/s that one core hashes.
    pub(super) score: u64,
}

pub(super) const MACHINES: [Machine; 3] = [
    Machine {
        cpu: "AMD EPYC 7B13",
        arch: "x86_64",
        distro: "Debian GNU/Linux 12 (bookworm)",
        cores: 8,
        memory_gib: 64,
        is_virtual: true,
        score: 1_021,
    },
    Machine {
        cpu: "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz",
        arch: "x86_64",
        distro: "Ubuntu 24.04.1 LTS",
        cores: 4,
        memory_gib: 16,
        is_virtual: true,
        score: 884,
    },
    Machine {
        cpu: "Neoverse-N1",
        arch: "aarch64",
        distro: "Debian GNU/Linux 12 (bookworm)",
        cores: 16,
        memory_gib: 128,
        is_virtual: false,
        score: 761,
    },
];

/// Target, name and usual nanoseconds of the spans of a block.
pub(super) const SPANS: [(&str, &str, u64); 6] = [
    ("frame_executive", "execute_block", 41_000_000),
    ("frame_executive", "apply_extrinsic", 2_300_000),
    ("pallet_babe", "on_initialize", 235_760),
    ("pallet_staking", "on_finalize", 1_150_000),
    ("pallet_grandpa", "on_finalize", 88_000),
    ("state", "storage_root", 9_700_000),
];

/// Name of a node.
pub(super) fn name(number: usize) -> String {
    let star = STARS[number % STARS.len()];
    format!("{star}-{:02}", number / STARS.len())
}

/// A peer id as libp2p makes it of an Ed25519 key.
pub(super) fn peer_id(random: &mut Random) -> String {
    let digits = (0..44).map(|_| {
        let digit = usize::try_from(random.between(0, 57)).unwrap();
        char::from(BASE_58[digit])
    });
    "12D3KooW".chars().chain(digits).collect()
}

/// The hash of a block; that of block 0 is the identity of its chain.
pub(super) fn hash(chain: usize, height: u64) -> String {
    let mut random = Random::new(((chain as u64 + 1) << 40) + height);
    let digits = (0..8).map(|_| format!("{:08x}", random.between(0, u64::from(u32::MAX))));
    std::iter::once("0x".to_owned()).chain(digits).collect()
}
