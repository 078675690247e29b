//! Removes the IP addresses within messages, for readers without the right to see
//! them.

use std::borrow::Cow;

/// Stands in place of an address.
const HIDDEN: &str = "-";

/// JSON text in which IP addresses are hidden, wherever they stand as
/// multiaddresses of libp2p: `/ip4/192.0.2.1/tcp/30333` becomes
/// `/ip4/-/tcp/30333`.
///
/// In that form nodes report addresses (`system.network_state`), and no other text
/// is mistaken for one. JSON stays JSON. It costs a search, and a copy only if
/// there is an address.
pub fn hide_addresses(json: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = json;
    while let Some((before, after)) = split_at_address(rest) {
        shown.push_str(before);
        shown.push_str(HIDDEN);
        rest = after;
    }
    if shown.is_empty() {
        return Cow::Borrowed(json);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// What stands before the first address, and behind it.
fn split_at_address(json: &str) -> Option<(&str, &str)> {
    json.match_indices("/ip").find_map(|(start, found)| {
        let (_, behind) = json.split_at_checked(start + found.len())?;
        let behind = behind.strip_prefix(['4', '6'])?;
        // A slash may be escaped in JSON, though hardly anyone does it.
        let address = behind
            .strip_prefix('/')
            .or_else(|| behind.strip_prefix(r"\/"))?;
        let after = address.trim_start_matches(is_of_address);
        let before = json.len() - address.len();
        (after.len() < address.len()).then_some((json.split_at_checked(before)?.0, after))
    })
}

fn is_of_address(c: char) -> bool {
    c.is_ascii_hexdigit() || matches!(c, '.' | ':')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn addresses_are_hidden_in_every_multiaddress() {
        for (told, shown) in [
            (
                r#"{"a":"/ip4/192.0.2.1/tcp/30333"}"#,
                r#"{"a":"/ip4/-/tcp/30333"}"#,
            ),
            (r#"["/ip6/2001:db8::1/tcp/1/ws"]"#, r#"["/ip6/-/tcp/1/ws"]"#),
            (r#"["/ip6/::ffff:192.0.2.1"]"#, r#"["/ip6/-"]"#),
            (
                r#"{"/ip4/10.0.0.1/tcp/1":["/ip4/10.0.0.2/p2p/Qm/p2p-circuit/ip4/10.0.0.3"]}"#,
                r#"{"/ip4/-/tcp/1":["/ip4/-/p2p/Qm/p2p-circuit/ip4/-"]}"#,
            ),
            (r#"["\/ip4\/192.0.2.1\/tcp\/1"]"#, r#"["\/ip4\/-\/tcp\/1"]"#),
        ] {
            assert_eq!(hide_addresses(told), shown);
        }
    }

    #[test]
    fn everything_else_stays_as_it_is_and_is_not_copied() {
        for told in [
            "",
            "/ip",
            "/ip4",
            "/ip4/",
            r#"{"v":"1.2.3.4","a":"/dns4/host/tcp/30333"}"#,
            r#"{"a":"/ip4/-/tcp/1","b":"/ip5/10.0.0.1","c":"/ip4//tcp","d":"/ipé"}"#,
        ] {
            assert!(matches!(hide_addresses(told), Cow::Borrowed(text) if text == told));
        }
    }

    #[test]
    fn what_nodes_send_stays_json_and_tells_no_address() {
        let mut hidden = 0;
        for line in include_str!("../../tests/corpus/v1.ndjson").lines() {
            let shown = hide_addresses(line);
            assert!(serde_json::from_str::<Value>(&shown).is_ok());
            assert!(!shown.contains("10.0.0.2") && !shown.contains("127.0.0.1"));
            hidden += shown.matches("/ip4/-/").count();
        }
        assert!(hidden > 0);
    }
}
