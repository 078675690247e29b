//! The URL of a database. It is checked as strictly as libpq should: what libpq
//! cannot take apart it repeats in its errors, the password included.

use std::fmt;
use std::str::FromStr;

const FORM: &str = "is not of the form postgres://user:password@host:port/database";

/// The characters that take a URL apart, as they are written in a user or password.
const ESCAPES: &str =
    "%25 for %, %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #, %5B for [, %20 for a space";

/// A database URL; its password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Wraps a URL that is known to be well-formed.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password, for the database driver only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL for people: without password, and without parameters, which may
    /// hold one too.
    pub fn without_password(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return "(given by DATABASE_URL)".to_owned();
        };
        let rest = rest.split('?').next().unwrap_or_default();
        match rest.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}@{host}")
            }
            None => format!("{scheme}://{rest}"),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// The fault names what to write instead; it never repeats any of the URL.
    fn from_str(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or(FORM)?;
        let unescaped = || {
            format!(
                "a character of the user or password has to be escaped: write {ESCAPES}; \
                 the rest {FORM_OF_REST}"
            )
        };
        let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
        if !rest.chars().all(is_plain) || !has_whole_escapes(rest) {
            return Err(unescaped());
        }
        let (place, parameters) = match rest.split_once('?') {
            Some((place, parameters)) => (place, Some(parameters)),
            None => (rest, None),
        };
        let (authority, database) = match place.split_once('/') {
            Some((authority, database)) => (authority, database),
            None => (place, ""),
        };
        // An @ behind the first / or ?, or a second one, shows where a password ends
        // that holds such a character.
        if database.contains(['@', '/']) || parameters.is_some_and(|text| text.contains('@')) {
            return Err(unescaped());
        }
        let hosts = match authority.split_once('@') {
            Some((_user, hosts)) => hosts,
            None => authority,
        };
        if hosts.contains('@') || !hosts.split(',').all(is_host) {
            return Err(unescaped());
        }
        let mut parameters = parameters.into_iter().flat_map(|text| text.split('&'));
        if !parameters.all(is_parameter) {
            return Err("has a parameter after ? that is not name=value".to_owned());
        }
        Ok(Self(url.to_owned()))
    }
}

/// What follows the user and the password.
const FORM_OF_REST: &str = "is @host:port/database?name=value&name=value";

/// Each % begins an escape.
fn has_whole_escapes(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        let mut digits = part.bytes();
        let mut is_digit = || digits.next().is_some_and(|byte| byte.is_ascii_hexdigit());
        is_digit() && is_digit()
    })
}

/// A name, an address, or [an IPv6 address], maybe with a port.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => match port.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None => return false,
        },
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let is_name = !name.contains(['[', ']', '#']);
    is_name && port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok())
}

fn is_parameter(text: &str) -> bool {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        !name.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    text.split_once('=')
        .is_some_and(|(name, value)| is_name(name) && !value.contains('='))
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_takes_is_taken() {
        for good in [
            "postgres://",
            "postgresql://h",
            "postgres://u@h/d",
            "postgres://u:p:w@h:5432/d",
            "postgres://u:%25%40%2F%3A@h/d?sslmode=require&application_name=a%20b",
            "postgres://u:p@[::1]:5432/d",
            "postgres://u:p@a:1,b,[fd00::1]/d?target_session_attrs=read-write",
            "postgres://%2Frun%2Fpostgresql/d",
            "postgres:///d?host=/run/postgresql&port=5433",
        ] {
            assert!(good.parse::<DatabaseUrl>().is_ok(), "{good}");
        }
    }

    #[test]
    fn a_password_that_is_not_escaped_is_refused_and_not_repeated() {
        for bad in [
            "postgres://u:geheim%@h/d",
            "postgres://u:geheim%zz@h/d",
            "postgres://u:ge@heim@h/d",
            "postgres://u:ge/heim@h/d",
            "postgres://u:ge/heim@h",
            "postgres://u:ge?heim@h/d",
            "postgres://u:ge heim@h/d",
            "postgres://u:geheim@h:geheim/d",
            "postgres://u:ge[heim@x@h/d",
            "postgres://geheim:geheim/d",
            "postgres://u:p@h/d?password=ge&heim",
            "postgres://u:p@h/d?password=ge=heim",
            "mysql://u:geheim@h/d",
            "u:geheim@h/d",
        ] {
            let fault = bad.parse::<DatabaseUrl>().unwrap_err();
            assert!(
                !fault.contains("geheim") && !fault.contains("heim"),
                "{fault}"
            );
        }
    }

    #[test]
    fn passwords_are_left_out() {
        for (url, shown) in [
            ("postgres://u:geheim@h:5432/d", "postgres://u@h:5432/d"),
            (
                "postgres://u:ge@heim@h/d?password=geheim",
                "postgres://u@h/d",
            ),
            ("postgres://h/d", "postgres://h/d"),
        ] {
            assert_eq!(DatabaseUrl::new(url).without_password(), shown);
        }
    }
}
