//! Sorts what can go wrong with the database into what to do about it.

use diesel::result::{DatabaseErrorKind, Error};

/// Why the database did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// It is away, stops, is out of room or of connections: try again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// It works, and refuses for good: the schema, a permission or a password is wrong.
    #[error("the database refuses: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the connection is of no more use, or the whole database is not.
    pub(super) fn concerns_connection(error: &Error) -> bool {
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

    /// Sorts by the code of the error; see appendix A of the manual of PostgreSQL.
    pub(super) fn from_sqlstate(sqlstate: &str, cause: String) -> Self {
        match sqlstate.get(..2) {
            // No such schema or column, no permission, wrong password, no such database.
            Some("42" | "28" | "3D" | "3F") => Self::Refused(format!("{sqlstate}: {cause}")),
            _ => Self::Unavailable(format!("{sqlstate}: {cause}")),
        }
    }
}

impl StoreError {
    /// Sorts by the words where there is no code: libpq and diesel hide it.
    /// Other languages than English are not recognised, and then tried again.
    fn from_words(cause: String) -> Self {
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

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::from_words(error.to_string())
    }
}

impl From<diesel::ConnectionError> for StoreError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::from_words(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_into_try_again_and_never() {
        let code = |code| StoreError::from_sqlstate(code, String::new());
        for again in [
            "57P01", "53100", "53300", "40001", "08006", "25006", "55P03",
        ] {
            assert!(matches!(code(again), StoreError::Unavailable(_)), "{again}");
        }
        for never in ["42P01", "42501", "28P01", "3D000"] {
            assert!(matches!(code(never), StoreError::Refused(_)), "{never}");
        }
        let words = |words: &str| StoreError::from_words(words.to_owned());
        let wrong = words("FATAL:  password authentication failed for user \"u\"");
        assert!(matches!(wrong, StoreError::Refused(_)));
        let away = words("connection to server at \"h\" failed: Connection refused");
        assert!(matches!(away, StoreError::Unavailable(_)));
    }
}
