//! The doors that websockets go through, for the description only: their handlers
//! are in `telemetry_socket` and `feed_socket`.

use crate::http::error::ErrorBody;

/// Takes the telemetry of nodes over a websocket; it is purged after `LOG_EXPIRY_H`.
///
/// Give `ws://HOST:PORT/submit 1` to a node as `--telemetry-url`.
#[utoipa::path(
    get, operation_id = "submit_telemetry", path = "/submit", tag = "telemetry",
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "A token is needed, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
pub(super) fn submit() {}

/// As `/submit`, but the messages are never purged.
#[utoipa::path(
    get, operation_id = "submit_audited_telemetry", path = "/audit", tag = "telemetry",
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "A token is needed, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
pub(super) fn audit() {}

/// As `/submit`, for nodes that have one of `TELEMETRY_TOKENS`.
#[utoipa::path(
    get, path = "/t/{token}/submit", tag = "telemetry",
    params(("token" = String, Path, description = "The token.")),
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "The token is wrong, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
pub(super) fn submit_with_token() {}

/// The same as `/t/{token}/submit`.
#[utoipa::path(
    get, path = "/t/{token}", tag = "telemetry",
    params(("token" = String, Path, description = "The token.")),
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "The token is wrong, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
pub(super) fn submit_with_token_briefly() {}

/// As `/audit`, for nodes that have one of `AUDIT_TOKENS`.
#[utoipa::path(
    get, path = "/t/{token}/audit", tag = "telemetry",
    params(("token" = String, Path, description = "The token.")),
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "The token is wrong, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
pub(super) fn audit_with_token() {}

/// The live feed over a websocket; every text is JSON.
///
/// Subscribe to messages with `{"interest":"subscribe","peer_id":"…","msg":"…"}`, both optional,
/// or with `chain`; from the past on with `start_time` or the `cursor` of an earlier answer;
/// aggregated with `aggregate_type`, `aggregate_interval` and `aggregate_key`. Subscribe to the
/// table of all nodes with `{"topic":"nodes","interest":"subscribe"}`, and to nodes that come and
/// go with `{"topic":"presence","interest":"subscribe"}`. A request with a `request_id` is
/// acknowledged. A client that reads too slowly gets the number of messages that were
/// skipped: `{"lagged":7}`.
#[utoipa::path(
    get, operation_id = "watch_feed", path = "/feed", tag = "feed",
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 401, description = "A token is needed (`READ_TOKENS`).", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see feed_socket")]
pub(super) fn feed() {}
