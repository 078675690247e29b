//! `/api/v1/profiling`: how long spans took.

use actix_web::web;
use chrono::Utc;

use crate::http::answer::Answer;
use crate::http::error::{ErrorBody, ReadErrors};
use crate::http::{AppError, AppState};
use crate::query::profiling::{
    self, Cost, ProfilingParams, ProfilingQuery, RankingParams, RankingQuery, Spans,
};

/// How long spans took over time, for each target and name; oldest first.
///
/// Fed by `tracing.profiling`, which nodes up to early 2021 and custom ones send.
/// Time is cut into buckets that are aligned to the clock in UTC. Whole hours outlive
/// their messages for `ROLLUP_EXPIRY_D`; of a node and hour they have the first 1,000
/// targets and names in alphabetical order, and count the others as `(other)`. A query
/// whose answer would have more than 20,000 rows is refused.
#[utoipa::path(
    get, operation_id = "list_profiling", path = "/api/v1/profiling", tag = "profiling", params(ProfilingParams),
    responses(
        (status = 200, description = "The spans.", body = [Spans]),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn over_time(
    state: web::Data<AppState>,
    asked: web::Query<ProfilingParams>,
) -> Result<Answer, AppError> {
    let query = ProfilingQuery::try_from(asked.into_inner())?;
    let now = Utc::now();
    state
        .answer(move |conn| profiling::fetch(conn, &query, now))
        .await
}

/// The targets and names whose spans took longest altogether, the costliest first.
///
/// Whole hours outlive their messages for `ROLLUP_EXPIRY_D`; of a node and hour they have
/// the first 1,000 targets and names in alphabetical order, and count the others as
/// `(other)`.
#[utoipa::path(
    get, operation_id = "rank_profiling", path = "/api/v1/profiling/ranking", tag = "profiling", params(RankingParams),
    responses(
        (status = 200, description = "The targets and names.", body = [Cost]),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn ranking(
    state: web::Data<AppState>,
    asked: web::Query<RankingParams>,
) -> Result<Answer, AppError> {
    let query = RankingQuery::try_from(asked.into_inner())?;
    let now = Utc::now();
    state
        .answer(move |conn| profiling::fetch_ranking(conn, &query, now))
        .await
}
