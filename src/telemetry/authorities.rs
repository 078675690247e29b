//! What a node says of itself as an authority (`afg.authority_set`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::scalar::integer;

/// Longest id; an address in SS58 has 47 to 50 characters.
const ID_BYTES_MAX: usize = 128;

/// What nodes say that are no authority: nothing, or the address of a key of zeros.
const NONE: [&str; 3] = [
    "",
    "<unknown>",
    "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM",
];

/// The id of an authority, and the set that it is told with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityId {
    /// Its id, an address in SS58.
    pub id: String,
    /// Number of the set; it grows with each change.
    pub set_id: Option<i64>,
    /// Whether it is one of the set.
    pub is_in_set: bool,
}

impl AuthorityId {
    /// `msg` of the messages that carry it.
    pub const KIND: &'static str = "afg.authority_set";

    /// Reads the fields of a message; none if it is of another kind, or of a node that is
    /// no authority.
    pub fn from_fields(kind: &str, fields: &[u8]) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Fields<'a> {
            authority_id: Value,
            authority_set_id: Value,
            #[serde(borrow)]
            authorities: Option<Cow<'a, str>>,
        }
        if kind != Self::KIND {
            return None;
        }
        let fields: Fields<'_> = serde_json::from_slice(fields).ok()?;
        let id = fields.authority_id.as_str()?;
        if NONE.contains(&id) || id.len() > ID_BYTES_MAX || id.contains(['"', '\\']) {
            return None;
        }
        let quoted = format!("\"{id}\"");
        Some(Self {
            set_id: integer(&fields.authority_set_id),
            is_in_set: fields.authorities.is_some_and(|all| all.contains(&quoted)),
            id: id.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Option<AuthorityId> {
        AuthorityId::from_fields(AuthorityId::KIND, fields.as_bytes())
    }

    #[test]
    fn an_authority_says_who_it_is() {
        let found = read(
            r#"{"authority_id":"5Kk","authority_set_id":"7","authorities":"[\"5tP\",\"5Kk\"]","number":"9"}"#,
        );
        let expected = AuthorityId {
            id: "5Kk".to_owned(),
            set_id: Some(7),
            is_in_set: true,
        };
        assert_eq!(found, Some(expected));
        let beside = read(r#"{"authority_id":"5Kk","authorities":"[\"5Kkk\"]"}"#).unwrap();
        assert_eq!((beside.is_in_set, beside.set_id), (false, None));
    }

    #[test]
    fn who_is_no_authority_has_no_id() {
        for id in NONE {
            assert_eq!(read(&format!(r#"{{"authority_id":"{id}"}}"#)), None);
        }
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"authority_id":7}"#), None);
        assert_eq!(
            AuthorityId::from_fields("other", br#"{"authority_id":"5Kk"}"#),
            None
        );
    }
}
