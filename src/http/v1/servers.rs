//! `/api/v1/servers`: the servers of this database.

use actix_web::web;

use crate::http::answer::Answer;
use crate::http::error::ReadErrors;
use crate::http::{AppError, AppState};
use crate::query::params::{ListParams, ListQuery};
use crate::query::servers::{self, Server};

/// The servers of the database, the last heartbeat first, each with the jobs that
/// it has.
#[utoipa::path(
    get, operation_id = "list_servers", path = "/api/v1/servers", tag = "server", params(ListParams),
    responses((status = 200, description = "The servers.", body = [Server]), ReadErrors)
)]
pub(in crate::http) async fn list(
    state: web::Data<AppState>,
    asked: web::Query<ListParams>,
) -> Result<Answer, AppError> {
    let query = ListQuery::try_from(asked.into_inner())?;
    state.answer(move |conn| servers::fetch(conn, &query)).await
}
