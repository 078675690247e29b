//! `/api/v1/chains`: the chains, their blocks, and what their nodes are.

use actix_web::{HttpRequest, HttpResponse, web};

use super::nodes::hide;
use crate::http::access::Caller;
use crate::http::answer::Answer;
use crate::http::error::{ErrorBody, ReadErrors};
use crate::http::extractors::NoParams;
use crate::http::{AppError, AppState, paging};
use crate::query::chains::{
    self, Author, AuthoredBlock, AuthoringParams, AuthoringQuery, Block, BlocksParams, BlocksQuery,
    Chain, ChainLocations, ChainsParams, ChainsQuery, Finality, Fork, ForksQuery, Hardware,
    HardwareParams, HardwareQuery, OverTimeParams, OverTimeQuery, Propagation, SpanParams,
    Versions, VersionsQuery,
};
use crate::query::node_list::{self, ListedNode, NodeListParams, NodeListQuery};
use crate::query::{QueryError, params};

/// The chains with the most nodes: where they are now, and how their last blocks came.
///
/// Chains are listed whose nodes say their genesis hash and reported a block.
#[utoipa::path(
    get, operation_id = "list_chains", path = "/api/v1/chains", tag = "chains", params(ChainsParams),
    responses((status = 200, description = "The chains.", body = [Chain]), ReadErrors)
)]
pub(in crate::http) async fn list(
    state: web::Data<AppState>,
    asked: web::Query<ChainsParams>,
) -> Result<Answer, AppError> {
    let query = ChainsQuery::try_from(asked.into_inner())?;
    state.answer(move |conn| chains::list(conn, &query)).await
}

/// A chain: where it is now, and how its last blocks came.
#[utoipa::path(
    get, operation_id = "show_chain", path = "/api/v1/chains/{genesis_hash}", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name.")),
    responses(
        (status = 200, description = "The chain.", body = Chain),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn show(
    state: web::Data<AppState>,
    chain: web::Path<String>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    let chain = chains::name(&chain)?;
    state.answer(move |conn| chains::show(conn, &chain)).await
}

/// The blocks of a chain, the highest first: who saw each first, how long the others
/// took, and when it was finalized.
///
/// Where a chain forked there are several blocks of a height.
#[utoipa::path(
    get, operation_id = "list_blocks", path = "/api/v1/chains/{genesis_hash}/blocks", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name."), BlocksParams),
    responses(
        (
            status = 200, description = "The blocks.", body = [Block],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last."),
            )
        ),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn blocks(
    state: web::Data<AppState>,
    request: HttpRequest,
    chain: web::Path<String>,
    asked: web::Query<BlocksParams>,
) -> Result<HttpResponse, AppError> {
    let chain = chains::name(&chain)?;
    let query = BlocksQuery::try_from(asked.into_inner())?;
    let (answer, next) = state
        .ask(move |conn| {
            let page = chains::blocks(conn, &chain, &query)?;
            Ok((Answer::of(&page.rows)?, page.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}

/// How fast the blocks of a chain spread, over time: in how many seconds after the first
/// node the others had them.
///
/// Time is cut into points that are aligned to the clock in UTC, those at both ends included
/// as a whole. Spans of more than six hours have points of at least an hour.
#[utoipa::path(
    get, operation_id = "show_propagation", path = "/api/v1/chains/{genesis_hash}/propagation", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name."), OverTimeParams),
    responses(
        (status = 200, description = "The times.", body = Propagation),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn propagation(
    state: web::Data<AppState>,
    chain: web::Path<String>,
    asked: web::Query<OverTimeParams>,
) -> Result<Answer, AppError> {
    let chain = chains::name(&chain)?;
    let query = OverTimeQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| chains::propagation(conn, &chain, &query))
        .await
}

/// How fast the blocks of a chain become final, over time: seconds from the first report
/// of a block to the first one that its height is finalized.
///
/// Points are as in `/api/v1/chains/{genesis_hash}/propagation`.
#[utoipa::path(
    get, operation_id = "show_finality", path = "/api/v1/chains/{genesis_hash}/finality", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name."), OverTimeParams),
    responses(
        (status = 200, description = "The times.", body = Finality),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn finality(
    state: web::Data<AppState>,
    chain: web::Path<String>,
    asked: web::Query<OverTimeParams>,
) -> Result<Answer, AppError> {
    let chain = chains::name(&chain)?;
    let query = OverTimeQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| chains::finality(conn, &chain, &query))
        .await
}

/// Where a chain forked: heights of which several blocks were seen, the latest first.
#[utoipa::path(
    get, operation_id = "list_forks", path = "/api/v1/chains/{genesis_hash}/forks", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name."), SpanParams),
    responses(
        (status = 200, description = "The forks.", body = [Fork]),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn forks(
    state: web::Data<AppState>,
    chain: web::Path<String>,
    asked: web::Query<SpanParams>,
) -> Result<Answer, AppError> {
    let chain = chains::name(&chain)?;
    let query = ForksQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| chains::forks(conn, &chain, &query))
        .await
}

/// The nodes of a chain that built blocks, and what became of these: made, and missed (another block of
/// its height is final, no node took it, or it was given up). Those that missed the most come first.
///
/// Nodes tell of blocks that they prepare and seal from level 1 on, at level 0 only of those that they
/// import. In which slots a validator had to build none of them tells.
#[utoipa::path(
    get, operation_id = "list_authors", path = "/api/v1/chains/{genesis_hash}/authors", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name."), AuthoringParams),
    responses(
        (status = 200, description = "The nodes.", body = [Author]),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn authors(
    state: web::Data<AppState>,
    chain: web::Path<String>,
    asked: web::Query<AuthoringParams>,
) -> Result<Answer, AppError> {
    let chain = chains::name(&chain)?;
    let query = AuthoringQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| chains::authors(conn, &chain, &query))
        .await
}

/// The blocks that a node built, the newest first, and what became of each.
#[utoipa::path(
    get, operation_id = "list_authored_blocks", path = "/api/v1/nodes/{peer_id}/authored", tag = "nodes",
    params(("peer_id" = String, Path, description = "libp2p identity of the node."), AuthoringParams),
    responses(
        (status = 200, description = "The blocks.", body = [AuthoredBlock]),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn authored(
    state: web::Data<AppState>,
    peer_id: web::Path<String>,
    asked: web::Query<AuthoringParams>,
) -> Result<Answer, AppError> {
    let peer_id = params::peer_id(Some(&peer_id))?;
    let query = AuthoringQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| chains::authored(conn, &peer_id, &query))
        .await
}

/// What the nodes of a chain ran, over time.
#[utoipa::path(
    get, operation_id = "show_versions", path = "/api/v1/chains/{genesis_hash}/versions", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name."), OverTimeParams),
    responses(
        (status = 200, description = "The versions.", body = Versions),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn versions(
    state: web::Data<AppState>,
    chain: web::Path<String>,
    asked: web::Query<OverTimeParams>,
) -> Result<Answer, AppError> {
    let chain = chains::name(&chain)?;
    let query = VersionsQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| chains::versions(conn, &chain, &query))
        .await
}

/// The machines of the nodes of a chain that are there, or were within a day; and how the values of one
/// fact were over time.
#[utoipa::path(
    get, operation_id = "show_hardware", path = "/api/v1/chains/{genesis_hash}/hardware", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name."), HardwareParams),
    responses(
        (status = 200, description = "The machines.", body = Hardware),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn hardware(
    state: web::Data<AppState>,
    chain: web::Path<String>,
    asked: web::Query<HardwareParams>,
) -> Result<Answer, AppError> {
    let chain = chains::name(&chain)?;
    let query = HardwareQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| chains::hardware(conn, &chain, &query))
        .await
}

/// Where the nodes of a chain are that are there, or were within a day: how many in each country, and in networks
/// of each provider.
///
/// Nothing of it is stored: addresses are looked up in the files of `GEOIP_DATABASE`.
#[utoipa::path(
    get, operation_id = "show_locations", path = "/api/v1/chains/{genesis_hash}/locations", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name.")),
    responses(
        (status = 200, description = "Where they are.", body = ChainLocations),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn locations(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    chain: web::Path<String>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    let chain = chains::name(&chain)?;
    let locations = state.locations_for(&caller);
    state
        .answer(move |conn| chains::locations(conn, &chain, locations.as_deref()))
        .await
}

/// The nodes of a chain, now or with `at` as the network was at a moment: as `/api/v1/nodes`
/// with its parameters but for `chain`.
#[utoipa::path(
    get, operation_id = "list_chain_nodes", path = "/api/v1/chains/{genesis_hash}/nodes", tag = "chains",
    params(("genesis_hash" = String, Path, description = "Genesis hash of the chain, or its name."), NodeListParams),
    responses(
        (
            status = 200, description = "The nodes.", body = [ListedNode],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last."),
            )
        ),
        (status = 404, description = "No node of this chain ever reported a block.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn nodes(
    state: web::Data<AppState>,
    request: HttpRequest,
    caller: web::ReqData<Caller>,
    chain: web::Path<String>,
    asked: web::Query<NodeListParams>,
) -> Result<HttpResponse, AppError> {
    let chain = chains::name(&chain)?;
    let query = NodeListQuery::try_from(asked.into_inner())?;
    if query.chain().is_some() {
        let told = QueryError::invalid("chain", "stands in the path");
        return Err(told.into());
    }
    let locations = state.locations_for(&caller);
    let (answer, next) = state
        .ask(move |conn| {
            let query = query.of_chain(chains::genesis_hash(conn, &chain)?);
            let mut list = node_list::fetch(conn, &query, locations.as_deref())?;
            hide(&caller, &mut list.nodes);
            Ok((Answer::of(&list.nodes)?, list.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}
