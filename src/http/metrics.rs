//! `/metrics`, for Prometheus.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::error::{ErrorBody, ReadErrors};
use super::exposition::Exposition;
use super::{AppError, AppState};
use crate::query::chains::{self, Chain, ChainsQuery, NodeGaugesQuery, NodeMetricsParams};

/// The content type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Longest wait for what is read from the database: a scrape may not fail for it.
const DATABASE_MAX: Duration = Duration::from_secs(2);

/// Metrics of the server, in the text format of Prometheus.
///
/// Those of chains are read from the database, and without values if it takes more than two seconds.
#[utoipa::path(
    get, operation_id = "scrape_metrics", path = "/metrics", tag = "server",
    responses(
        (status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
        (status = 500, description = "A mistake of the server; its log says more.", body = ErrorBody),
    )
)]
pub(super) async fn scrape(state: web::Data<AppState>) -> Result<HttpResponse, AppError> {
    if let Some(store) = state.store() {
        store.pools.show(&state.metrics);
    }
    let metrics = state.metrics.clone();
    let with_old_names = state.config.http.metrics_old_names;
    let text = web::block(move || metrics.render(with_old_names)).await;
    let mut text = text
        .map_err(AppError::internal)?
        .map_err(AppError::internal)?;
    let chains = tokio::time::timeout(DATABASE_MAX, chains_of(&state)).await;
    // Without them the families are there, and empty.
    let chains = chains.ok().and_then(Result::ok).unwrap_or_default();
    let mut exposition = Exposition::default();
    exposition.chains(&chains);
    text.extend(exposition.text().into_bytes());
    Ok(answer(text))
}

/// `/metrics` on `PORT`.
pub(super) async fn scrape_on_port(state: web::Data<AppState>) -> Result<HttpResponse, AppError> {
    state.metrics_are_here()?;
    scrape(state).await
}

/// `/metrics/nodes` on `PORT`.
pub(super) async fn of_nodes_on_port(
    state: web::Data<AppState>,
    asked: web::Query<NodeMetricsParams>,
) -> Result<HttpResponse, AppError> {
    state.metrics_are_here()?;
    of_nodes(state, asked).await
}

async fn chains_of(state: &AppState) -> Result<Vec<Chain>, AppError> {
    let most = ChainsQuery::most(state.config.ingest.metric_chains_max);
    state.ask(move |conn| chains::list(conn, &most)).await
}

fn answer(text: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, TEXT_FORMAT))
        .body(text)
}

/// Metrics of each node that is there or was within a day, in the text format of Prometheus,
/// without an exporter beside it.
///
/// At most `METRICS_NODES_MAX` nodes; how many are left out is a gauge. With `names=exporter` the
/// metrics of chains that the exporter of substrate-telemetry has, under its names. Histograms
/// begin anew at midnight UTC.
#[utoipa::path(
    get, operation_id = "scrape_node_metrics", path = "/metrics/nodes", tag = "server", params(NodeMetricsParams),
    responses(
        (status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
        ReadErrors,
    )
)]
pub(super) async fn of_nodes(
    state: web::Data<AppState>,
    asked: web::Query<NodeMetricsParams>,
) -> Result<HttpResponse, AppError> {
    let query = NodeGaugesQuery::try_from(asked.into_inner())?;
    let nodes_max = state.config.ingest.metrics_nodes_max;
    let most = ChainsQuery::most(state.config.ingest.metric_chains_max).of(query.chain());
    let text = state
        .ask(move |conn| {
            let histograms = chains::histograms(conn, query.chain(), most.limit())?;
            let mut exposition = Exposition::default();
            match query.is_exporter {
                true => exposition.exporter(&chains::list(conn, &most)?, &histograms),
                false => {
                    let nodes = chains::node_gauges(conn, &query, nodes_max)?;
                    exposition.nodes(&nodes, &histograms);
                }
            }
            Ok(exposition.text())
        })
        .await?;
    Ok(answer(text.into_bytes()))
}
