//! Which messages, of which nodes.

use super::origin::Origin;

/// What a subscription admits; `None` admits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// libp2p identity of the node.
    pub peer_id: Option<String>,
    /// Name or genesis hash of the chain.
    pub chain: Option<String>,
    /// Kind of the messages.
    pub msg: Option<String>,
}

impl Filter {
    /// Whether it admits messages of a node.
    pub fn admits_node(&self, origin: &Origin) -> bool {
        let is_peer = match &self.peer_id {
            Some(peer_id) => origin.peer_id.as_deref() == Some(peer_id),
            None => true,
        };
        is_peer
            && self
                .chain
                .as_deref()
                .is_none_or(|chain| origin.is_on(chain))
    }

    /// Whether it admits messages of a kind.
    pub fn admits_kind(&self, kind: &str) -> bool {
        self.msg.as_deref().is_none_or(|msg| msg == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            peer_id: Some("peer".to_owned()),
            chain: Some("Chain".to_owned()),
            genesis_hash: Some("0x01".to_owned()),
            ..Origin::default()
        }
    }

    #[test]
    fn nodes_are_admitted_by_peer_and_chain() {
        let filter = |peer_id: Option<&str>, chain: Option<&str>| Filter {
            peer_id: peer_id.map(str::to_owned),
            chain: chain.map(str::to_owned),
            msg: None,
        };
        for (filter, expected) in [
            (filter(None, None), true),
            (filter(Some("peer"), None), true),
            (filter(Some("other"), None), false),
            (filter(None, Some("Chain")), true),
            (filter(None, Some("0x01")), true),
            (filter(None, Some("0x02")), false),
            (filter(Some("peer"), Some("Other")), false),
        ] {
            assert_eq!(filter.admits_node(&origin()), expected, "{filter:?}");
        }
        assert!(!filter(Some("peer"), None).admits_node(&Origin::default()));
    }

    #[test]
    fn kinds_are_admitted_by_name() {
        let filter = Filter {
            msg: Some("block.import".to_owned()),
            ..Filter::default()
        };
        assert!(filter.admits_kind("block.import") && !filter.admits_kind("block"));
        assert!(Filter::default().admits_kind("anything"));
    }
}
