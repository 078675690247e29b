//! Tokens: who shows one may do what its list is for.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// Characters of the shortest token: 16 hexadecimal digits are 64 bits.
const TOKEN_CHARS_MIN: usize = 16;

/// Characters of the longest token: it has to fit into a URL.
const TOKEN_CHARS_MAX: usize = 256;

/// Characters of the longest name.
const NAME_CHARS_MAX: usize = 64;

/// A token, kept only as its hash: nothing in memory or in a log gives it away.
#[derive(Clone, PartialEq, Eq)]
struct Secret([u8; 32]);

impl Secret {
    fn hash(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}

/// A token, and under which name its owner is known: the one that was given as `name:token`, or
/// one that follows from its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    name: String,
    secret: Secret,
}

impl FromStr for Token {
    type Err = String;

    /// The fault never repeats the token.
    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let (name, token) = match text.split_once(':') {
            Some((name, token)) => (Some(name), token),
            None => (None, text),
        };
        let is_name = |name: &str| {
            !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(allowed)
        };
        if !(TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&token.len())
            || !token.chars().all(allowed)
            || !name.is_none_or(is_name)
        {
            return Err(format!(
                "each token must have {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} characters of A-Z a-z 0-9 - . _ ~, \
                 and may have a name before it, as in relayer:TOKEN; `openssl rand -hex 16` makes one"
            ));
        }
        let secret = Secret::hash(token);
        let [one, two, three, four, ..] = secret.0;
        let unnamed = || format!("token-{one:02x}{two:02x}{three:02x}{four:02x}");
        Ok(Self {
            name: name.map_or_else(unnamed, str::to_owned),
            secret,
        })
    }
}

/// The first token in the value of a setting.
pub fn first_token(list: &str) -> Option<&str> {
    let first = list.split(',').next()?.trim();
    let token = first.rsplit(':').next()?;
    Some(token).filter(|token| !token.is_empty())
}

/// Tokens of which each is as good as the others, so that they can be rotated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `given` is one of them.
    pub fn admit(&self, given: &str) -> bool {
        self.name_of(given).is_some()
    }

    /// The name of a token, if it is one of them. Takes the same time whether and where it
    /// differs: the hashes are compared, all of them, each to its end.
    pub fn name_of(&self, given: &str) -> Option<&str> {
        let given = Secret::hash(given);
        let mut found = u64::MAX;
        for (place, token) in (0_u64..).zip(&self.0) {
            found.conditional_assign(&place, token.secret.0.ct_eq(&given.0));
        }
        let found = self.0.get(usize::try_from(found).ok()?)?;
        Some(&found.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(texts: &[&str]) -> Tokens {
        Tokens::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn each_of_several_tokens_is_good_and_nothing_else() {
        let tokens = tokens(&["0123456789abcdef", "fedcba9876543210"]);
        assert!(tokens.admit("0123456789abcdef") && tokens.admit("fedcba9876543210"));
        for bad in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
        ] {
            assert!(!tokens.admit(bad), "{bad}");
        }
        assert!(!Tokens::default().admit(""));
        assert!(!format!("{tokens:?}").contains("0123456"));
    }

    #[test]
    fn a_token_has_the_name_before_it_or_one_of_its_own() {
        let tokens = tokens(&["relayer:0123456789abcdef", "fedcba9876543210"]);
        assert_eq!(tokens.name_of("0123456789abcdef"), Some("relayer"));
        assert_eq!(tokens.name_of("fedcba9876543210"), Some("token-3465f6e6"));
        assert_eq!(tokens.name_of("relayer:0123456789abcdef"), None);
        for bad in [
            ":0123456789abcdef",
            "a b:0123456789abcdef",
            "a:b:0123456789abcdef",
            "name:short",
        ] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
