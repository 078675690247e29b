//! Classifies errors of the database by what to do about them.

use diesel::result::{DatabaseErrorKind, Error};

use crate::metrics::{Failure, FailureKind};

/// Why an operation of the database failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum DatabaseError {
    /// Transient: down, shutting down, out of disk or connections. Retry.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Permanent until an operator acts: wrong schema, permission or password.
    #[error("the database refuses: {0}")]
    Refused(String),
}

impl Failure for DatabaseError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Unavailable(_) => FailureKind::DatabaseUnavailable,
            Self::Refused(_) => FailureKind::DatabaseRefused,
        }
    }
}

impl DatabaseError {
    /// True if the connection or the database is unusable, so that no row is at fault.
    #[must_use]
    pub fn concerns_connection(error: &Error) -> bool {
        match error {
            Error::DatabaseError(kind, _) => matches!(
                kind,
                DatabaseErrorKind::ClosedConnection
                    | DatabaseErrorKind::UnableToSendCommand
                    | DatabaseErrorKind::ReadOnlyTransaction
                    | DatabaseErrorKind::SerializationFailure
            ),
            // Sending the rows of a COPY failed halfway.
            Error::SerializationError(_) => true,
            Error::BrokenTransactionManager | Error::AlreadyInTransaction => true,
            _ => false,
        }
    }

    /// Classifies by SQLSTATE (appendix A of the PostgreSQL manual).
    #[must_use]
    pub fn from_sqlstate(sqlstate: &str, cause: String) -> Self {
        match sqlstate.get(..2) {
            // No such schema or column, no permission, wrong password, no such database.
            Some("42" | "28" | "3D" | "3F") => Self::Refused(format!("{sqlstate}: {cause}")),
            _ => Self::Unavailable(format!("{sqlstate}: {cause}")),
        }
    }

    /// What every client may read: which setting is at fault, and the cure, but no
    /// host, port, role, table or address. The log has the rest.
    #[must_use]
    pub fn public_text(&self) -> String {
        const CAUSES: [(&str, &str); 12] = [
            (
                "password authentication failed",
                "the database refuses the user or password of DATABASE_URL",
            ),
            (
                "no pg_hba.conf entry",
                "the database does not let this server in: pg_hba.conf of PostgreSQL has to allow it",
            ),
            (
                "permission denied",
                "the user of DATABASE_URL lacks a permission",
            ),
            (
                "FATAL:  role",
                "the user of DATABASE_URL does not exist in the database",
            ),
            (
                "FATAL:  database",
                "the database that DATABASE_URL names is not there, or lets nobody in",
            ),
            (
                "could not translate host name",
                "the host of DATABASE_URL is unknown",
            ),
            (
                "Connection refused",
                "nothing listens at the host and port of DATABASE_URL",
            ),
            (
                "timeout expired",
                "the host of DATABASE_URL does not answer",
            ),
            (
                "SSL",
                "the encryption that DATABASE_URL asks for (sslmode) does not come about",
            ),
            ("too many", "the database has no connection to spare"),
            (
                "not answered a writer",
                "the database does not answer; DB_WRITE_TIMEOUT_S is over",
            ),
            ("starting up", "the database starts"),
        ];
        let (Self::Unavailable(cause) | Self::Refused(cause)) = self;
        let known = CAUSES.iter().find(|(part, _)| cause.contains(part));
        let sqlstate = cause.split_once(": ").map(|(code, _)| code);
        let sqlstate = sqlstate.filter(|code| {
            let is_code = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
            code.len() == 5 && code.bytes().all(is_code)
        });
        match (self, sqlstate, known) {
            (Self::Refused(_), Some(code), _) => {
                format!("the database refuses: {code}; the log says what")
            }
            (_, _, Some((_, known))) => (*known).to_owned(),
            (Self::Unavailable(_), Some(code), None) => {
                format!("the database is not available: {code}; the log says why")
            }
            (Self::Refused(_), None, None) => "the database refuses; the log says what".to_owned(),
            (Self::Unavailable(_), None, None) => {
                "the database is not available; the log says why".to_owned()
            }
        }
    }

    /// Classifies by the text where libpq and diesel hide the code. Texts in other
    /// languages than English count as transient.
    fn from_text(cause: String) -> Self {
        const REFUSALS: [&str; 5] = [
            "password authentication failed",
            "no pg_hba.conf entry",
            "permission denied",
            "does not exist",
            "must be owner",
        ];
        if REFUSALS.iter().any(|refusal| cause.contains(refusal)) {
            Self::Refused(cause)
        } else {
            Self::Unavailable(cause)
        }
    }
}

impl From<Error> for DatabaseError {
    fn from(error: Error) -> Self {
        Self::from_text(error.to_string())
    }
}

impl From<diesel::ConnectionError> for DatabaseError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::from_text(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_transient_or_permanent() {
        let code = |code| DatabaseError::from_sqlstate(code, String::new());
        for again in [
            "57P01", "53100", "53300", "40001", "08006", "25006", "55P03",
        ] {
            assert!(
                matches!(code(again), DatabaseError::Unavailable(_)),
                "{again}"
            );
        }
        for never in ["42P01", "42501", "28P01", "3D000"] {
            assert!(matches!(code(never), DatabaseError::Refused(_)), "{never}");
        }
        let text = |text: &str| DatabaseError::from_text(text.to_owned());
        let wrong = text("FATAL:  password authentication failed for user \"u\"");
        assert!(matches!(wrong, DatabaseError::Refused(_)));
        let away = text("connection to server at \"h\" failed: Connection refused");
        assert!(matches!(away, DatabaseError::Unavailable(_)));
    }

    #[test]
    fn everybody_reads_the_cure_and_no_host_port_role_or_table() {
        for (cause, cure) in [
            (
                "connection to server at \"geheim\" (10.0.0.1), port 5433 failed: FATAL:  password authentication failed for user \"geheim\"",
                "password of DATABASE_URL",
            ),
            (
                "could not translate host name \"geheim\" to address",
                "host of DATABASE_URL is unknown",
            ),
            (
                "connection to server at \"10.0.0.1\", port 5433 failed: FATAL:  role \"geheim\" does not exist",
                "user of DATABASE_URL",
            ),
            ("something with geheim", "the log says why"),
            ("relation geheim does not exist", "the log says what"),
        ] {
            let told = DatabaseError::from_text(cause.to_owned()).public_text();
            assert!(told.contains(cure), "{told}");
            for part in ["geheim", "10.0.0.1", "5433"] {
                assert!(!told.contains(part), "{told}");
            }
        }
        let told = DatabaseError::from_sqlstate("42P01", "relation geheim".to_owned());
        assert_eq!(
            told.public_text(),
            "the database refuses: 42P01; the log says what"
        );
    }
}
