//! `/stats`: sizes and version.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::error::ReadErrors;
use super::{AppError, AppState};
use crate::query::params::{ListParams, ListQuery};
use crate::query::stats::{self, Relation};

/// What runs here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Version {
    /// Name of the program.
    #[schema(example = "tetcore-analytics")]
    name: &'static str,
    /// Version of the program.
    #[schema(example = "1.0.0")]
    version: &'static str,
    /// What the program is for.
    description: &'static str,
    /// When it started.
    started_at: DateTime<Utc>,
}

/// Sizes of tables and indexes, the largest first.
#[utoipa::path(
    get, operation_id = "list_relations", path = "/stats/db", tag = "server", params(ListParams),
    responses((status = 200, description = "Tables and indexes; partitions are listed, and counted in what they are part of.", body = [Relation]), ReadErrors)
)]
pub(super) async fn database(
    state: web::Data<AppState>,
    asked: web::Query<ListParams>,
) -> Result<Answer, AppError> {
    let query = ListQuery::try_from(asked.into_inner())?;
    state.answer(move |conn| stats::fetch(conn, &query)).await
}

/// The version of the program.
#[utoipa::path(
    get, operation_id = "show_version", path = "/stats/version", tag = "server",
    responses((status = 200, description = "The version.", body = Version))
)]
pub(super) async fn version(state: web::Data<AppState>) -> web::Json<Version> {
    web::Json(Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        description: env!("CARGO_PKG_DESCRIPTION"),
        started_at: state.started_at,
    })
}
