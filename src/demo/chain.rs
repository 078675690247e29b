//! What a chain has done by a time.

use sha2::{Digest, Sha256};

/// How its nodes write messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Flat, with a newline at the end: nodes until early 2021.
    V1,
    /// With an envelope: nodes since 2021.
    V2,
}

/// A made-up chain.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) implementation: &'static str,
    /// Versions of its nodes, the most frequent first.
    pub(super) versions: &'static [&'static str],
    pub(super) format: Format,
    /// Time between two blocks, ms.
    pub(super) block_ms: i64,
    /// Height at [`BEGIN_MS`].
    first_height: i64,
    /// So many of ten nodes are validators.
    pub(super) validators_of_ten: u16,
}

/// 2026-01-01T00:00:00Z, Unix ms.
const BEGIN_MS: i64 = 1_767_225_600_000;

/// The chains of every fleet.
pub(super) static CHAINS: [Chain; 3] = [
    Chain {
        name: "Demo Relay",
        implementation: "Parity Polkadot",
        versions: &[
            "1.16.2-7b1c5f1a2d3",
            "1.16.1-835e0767fe8",
            "1.15.2-5d4a1b0c9e7",
        ],
        format: Format::V2,
        block_ms: 6_000,
        first_height: 24_300_000,
        validators_of_ten: 7,
    },
    Chain {
        name: "Demo Hub",
        implementation: "Polkadot parachain",
        versions: &["1.16.1-835e0767fe8", "1.15.0-743dc632fd6"],
        format: Format::V2,
        block_ms: 12_000,
        first_height: 7_200_000,
        validators_of_ten: 5,
    },
    Chain {
        name: "Demo Legacy",
        implementation: "Substrate Node",
        versions: &["2.0.1-x86_64-linux-gnu"],
        format: Format::V1,
        block_ms: 3_000,
        first_height: 880_000,
        validators_of_ten: 10,
    },
];

impl Chain {
    /// Its best block at a time (Unix, ms).
    pub(super) fn height_at(&self, time_ms: i64) -> i64 {
        self.first_height + (time_ms - BEGIN_MS).div_euclid(self.block_ms)
    }

    /// When a block was made, Unix ms.
    pub(super) fn made_at(&self, height: i64) -> i64 {
        BEGIN_MS + (height - self.first_height) * self.block_ms
    }

    /// The hash of a block; that of block 0 is the genesis hash.
    pub(super) fn hash(&self, height: i64) -> String {
        let digest = Sha256::digest(format!("{} {height}", self.name));
        let digits = digest.iter().map(|byte| format!("{byte:02x}"));
        digits.fold("0x".to_owned(), |hash, digits| hash + &digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_the_best_one_from_when_it_is_made() {
        for chain in &CHAINS {
            let height = chain.first_height + 1_000;
            let made_at = chain.made_at(height);
            assert_eq!(chain.height_at(made_at), height);
            assert_eq!(chain.height_at(made_at - 1), height - 1);
            assert_eq!(chain.hash(height).len(), 66);
            assert_ne!(chain.hash(height), chain.hash(height - 1));
        }
    }
}
