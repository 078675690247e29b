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

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<diesel::ConnectionError> for StoreError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
