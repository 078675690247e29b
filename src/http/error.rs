//! The one mapping of errors to answers.

use std::borrow::Cow;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::ids::RequestId;
use crate::query::QueryError;

/// Seconds after which a client may try again.
const RETRY_AFTER_S: u8 = 2;

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The request is wrong.
    #[error("{message}")]
    BadRequest {
        /// What is wrong, and what is allowed.
        message: String,
        /// Which parameter it is, if it is one.
        parameter: Option<String>,
    },
    /// A token is needed, and none that is valid was sent.
    #[error("{message}")]
    Unauthorized {
        /// Which token.
        message: &'static str,
        /// How it may be sent, for `WWW-Authenticate`.
        challenges: &'static [&'static str],
    },
    /// The client has not the right.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// There is no such route, or nothing is known of what a parameter names.
    #[error("{message}")]
    NotFound {
        /// What is not there.
        message: String,
        /// Which parameter named it, if one did.
        parameter: Option<String>,
    },
    /// The route has other methods.
    #[error("this route is only there for {allowed}")]
    MethodNotAllowed {
        /// The methods that it has.
        allowed: &'static str,
    },
    /// The body is larger than anyone needs.
    #[error("the body must have at most {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The body is no JSON by its content type.
    #[error("the body must be JSON, with the header Content-Type: application/json")]
    UnsupportedMediaType,
    /// The route is for websockets.
    #[error("this is a websocket endpoint")]
    UpgradeRequired,
    /// There are as many as there may be.
    #[error("{0}")]
    Conflict(String),
    /// The database is away or too busy, or the server starts or stops: try again.
    #[error("{0}")]
    Unavailable(String),
    /// A mistake of ours; its cause is in the log.
    #[error("something went wrong in the server; its log says what")]
    Internal,
}

impl AppError {
    /// The request is wrong in a way that no parameter stands for.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest {
            message: message.into(),
            parameter: None,
        }
    }

    /// The client has not the right; `message` says what gives it.
    pub(super) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Forbidden(message.into())
    }

    /// The answer while the database is not there yet.
    pub(super) fn starting() -> Self {
        Self::Unavailable("the server waits for its database".to_owned())
    }

    /// There is no such route.
    pub(super) fn no_route() -> Self {
        Self::NotFound {
            message: "unknown path; see /api/".to_owned(),
            parameter: None,
        }
    }

    /// Hides a mistake of ours from the asker and logs it.
    pub(super) fn internal(cause: impl std::fmt::Display) -> Self {
        log::error!("a request failed: {cause}");
        Self::Internal
    }

    /// Short name of the kind of error, for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "bad_request",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::TooLarge { .. } => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UpgradeRequired => "upgrade_required",
            Self::Conflict(_) => "conflict",
            Self::Unavailable(_) => "unavailable",
            Self::Internal => "internal",
        }
    }

    fn parameter(&self) -> Option<&str> {
        match self {
            Self::BadRequest { parameter, .. } | Self::NotFound { parameter, .. } => {
                parameter.as_deref()
            }
            Self::Unauthorized { .. }
            | Self::Forbidden(_)
            | Self::MethodNotAllowed { .. }
            | Self::TooLarge { .. }
            | Self::UnsupportedMediaType
            | Self::UpgradeRequired
            | Self::Conflict(_)
            | Self::Unavailable(_)
            | Self::Internal => None,
        }
    }
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Unauthorized { challenges, .. } => {
                for challenge in *challenges {
                    response.append_header((header::WWW_AUTHENTICATE, *challenge));
                }
            }
            Self::MethodNotAllowed { allowed } => {
                response.insert_header((header::ALLOW, *allowed));
            }
            Self::UpgradeRequired => {
                response.insert_header((header::UPGRADE, "websocket"));
            }
            Self::Unavailable(_) => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER_S.to_string()));
            }
            Self::BadRequest { .. }
            | Self::Forbidden(_)
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::UnsupportedMediaType
            | Self::Conflict(_)
            | Self::Internal => {}
        }
        response.json(ErrorBody {
            error: ErrorFields {
                code: self.code(),
                message: self.to_string(),
                parameter: self.parameter().map(str::to_owned),
                request_id: RequestId::current().map(|id| id.as_str().to_owned()),
            },
        })
    }
}

impl From<QueryError> for AppError {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Invalid { parameter, .. } => Self::BadRequest {
                message,
                parameter: Some(parameter.to_owned()),
            },
            QueryError::Full(_) => Self::Conflict(message),
            QueryError::NotFound { parameter } => Self::NotFound {
                message,
                parameter: Some(parameter.to_owned()),
            },
            QueryError::Unavailable(cause) => {
                log::warn!("a query was not answered: {cause}");
                Self::Unavailable("the database is away, too busy or too slow".to_owned())
            }
            QueryError::Internal(cause) => Self::internal(cause),
        }
    }
}

/// The body of an answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What is wrong.
    error: ErrorFields,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorFields {
    /// Short name of the kind of error, for programs.
    #[schema(example = "bad_request")]
    code: &'static str,
    /// What is wrong, for people.
    #[schema(example = "limit must be a whole number from 1 to 10000")]
    message: String,
    /// The parameter that is wrong, or names what is not there; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "limit")]
    parameter: Option<String>,
    /// Id of the request, as in the header `X-Request-Id` and in the log of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "8a4f0c52d17be396")]
    request_id: Option<String>,
}

/// Errors of every route that reads the database, for the description.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only describes; the answers are made by AppError")]
pub(super) enum ReadErrors {
    /// A token is needed (`READ_TOKENS`).
    #[response(status = 401)]
    Unauthorized(#[to_schema] ErrorBody),
    /// A parameter is wrong, unknown or given twice; the error names it.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// The database is away, too busy or too slow; try again after `Retry-After` seconds.
    #[response(status = 503)]
    Unavailable(ErrorBody),
    /// A mistake of the server; its log says more.
    #[response(status = 500)]
    Internal(ErrorBody),
}

/// Errors of every route that takes a body, for the description.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only describes; the answers are made by AppError")]
pub(super) enum EntryErrors {
    /// A token is needed (`API_TOKENS`).
    #[response(status = 401)]
    Unauthorized(#[to_schema] ErrorBody),
    /// There are no `API_TOKENS`, and the request does not come from the server's machine.
    #[response(status = 403)]
    Forbidden(#[to_schema] ErrorBody),
    /// A field is wrong, missing or unknown; the error names it.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The content type is not `application/json`.
    #[response(status = 415)]
    UnsupportedMediaType(ErrorBody),
    /// The database is away or too busy; try again after `Retry-After` seconds.
    #[response(status = 503)]
    Unavailable(ErrorBody),
    /// A mistake of the server; its log says more.
    #[response(status = 500)]
    Internal(ErrorBody),
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    async fn answer(error: AppError) -> (u16, Value, HttpResponse) {
        let response = error.error_response();
        let status = response.status().as_u16();
        let body = to_bytes(error.error_response().into_body()).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap(), response)
    }

    #[actix_web::test]
    async fn each_error_has_its_status_and_body() {
        let cases = [
            (
                AppError::BadRequest {
                    message: "m".to_owned(),
                    parameter: Some("p".to_owned()),
                },
                400,
                json!({"code": "bad_request", "message": "m", "parameter": "p"}),
            ),
            (
                AppError::bad_request("m"),
                400,
                json!({"code": "bad_request", "message": "m"}),
            ),
            (
                AppError::Unauthorized {
                    message: "m",
                    challenges: &["Bearer"],
                },
                401,
                json!({"code": "unauthorized", "message": "m"}),
            ),
            (
                AppError::forbidden("m"),
                403,
                json!({"code": "forbidden", "message": "m"}),
            ),
            (
                AppError::NotFound {
                    message: "m".to_owned(),
                    parameter: None,
                },
                404,
                json!({"code": "not_found", "message": "m"}),
            ),
            (
                AppError::MethodNotAllowed {
                    allowed: "GET, HEAD",
                },
                405,
                json!({"code": "method_not_allowed", "message": "this route is only there for GET, HEAD"}),
            ),
            (
                AppError::TooLarge { bytes_max: 7 },
                413,
                json!({"code": "too_large", "message": "the body must have at most 7 bytes"}),
            ),
            (
                AppError::UnsupportedMediaType,
                415,
                json!({"code": "unsupported_media_type", "message": "the body must be JSON, with the header Content-Type: application/json"}),
            ),
            (
                AppError::UpgradeRequired,
                426,
                json!({"code": "upgrade_required", "message": "this is a websocket endpoint"}),
            ),
            (
                AppError::Unavailable("m".to_owned()),
                503,
                json!({"code": "unavailable", "message": "m"}),
            ),
            (
                AppError::Internal,
                500,
                json!({"code": "internal", "message": "something went wrong in the server; its log says what"}),
            ),
        ];
        for (error, status, fields) in cases {
            let name = format!("{error:?}");
            let (got_status, got_body, _) = answer(error).await;
            assert_eq!(
                (got_status, got_body),
                (status, json!({"error": fields})),
                "{name}"
            );
        }
    }

    #[actix_web::test]
    async fn headers_tell_what_to_do() {
        let (_, _, response) = answer(AppError::starting()).await;
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "2");
        let (_, _, response) = answer(AppError::MethodNotAllowed { allowed: "POST" }).await;
        assert_eq!(response.headers().get(header::ALLOW).unwrap(), "POST");
        let (_, _, response) = answer(AppError::UpgradeRequired).await;
        assert_eq!(
            response.headers().get(header::UPGRADE).unwrap(),
            "websocket"
        );
    }

    #[actix_web::test]
    async fn queries_never_show_what_the_database_said() {
        let sql = || "relation \"secret\" does not exist".to_owned();
        for error in [QueryError::Internal(sql()), QueryError::Unavailable(sql())] {
            let (_, body, _) = answer(error.into()).await;
            assert!(!body.to_string().contains("secret"), "{body}");
        }
        let (status, body, _) = answer(QueryError::invalid("limit", "must be small").into()).await;
        assert_eq!(
            (status, &body["error"]["parameter"]),
            (400, &json!("limit"))
        );
        assert_eq!(body["error"]["message"], "limit must be small");
        let (status, body, _) = answer(
            QueryError::NotFound {
                parameter: "peer_id",
            }
            .into(),
        )
        .await;
        assert_eq!(
            (status, &body["error"]["parameter"]),
            (404, &json!("peer_id"))
        );
    }
}
