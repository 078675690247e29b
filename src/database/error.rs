//! Classifies errors of the database by what to do about them.

use diesel::result::{DatabaseErrorKind, Error};

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
}
