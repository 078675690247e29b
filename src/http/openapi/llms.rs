//! `/api/llms.txt`: the interface in one page of Markdown, as <https://llmstxt.org> describes it, for
//! language models and for people in a terminal. It is made from the description.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::{AppError, DESCRIPTION, answer};

/// Type of the answer (RFC 7763).
const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// The documents of this version.
const DOCS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs");

/// This interface in one page of Markdown, a line for each operation, for language models.
#[utoipa::path(
    get, operation_id = "summarize", path = "/api/llms.txt", tag = "server",
    responses(
        (status = 200, description = "All operations, by tag, with their parameters.", body = String, content_type = "text/markdown"),
        (status = 304, description = "It is the one whose `ETag` stands in `If-None-Match`."),
    )
)]
pub(in crate::http) async fn summarize(request: HttpRequest) -> Result<HttpResponse, AppError> {
    let api = DESCRIPTION.as_ref().map_err(AppError::internal)?;
    Ok(answer(&request, MARKDOWN, markdown(api)))
}

/// The page. Links are relative to it, so that it is the same behind every proxy.
fn markdown(api: &Value) -> String {
    let about = text(api, "/info/description");
    let (what, rules) = about.split_once("\n\n").unwrap_or((about, ""));
    let mut out = format!(
        "# {} {}\n\n> {what}\n\n{rules}\n\nPaths are those of this server; this page is `/api/llms.txt`. Each line has method, \
         path with its parameters (`?` before those of the query, `*` after those that are required) and what it is for. \
         Where a server has tokens, send `Authorization: Bearer TOKEN`.\n\n\
         - [openapi.json](openapi.json): the same in full, with types, bounds and answers\n\
         - [Documents]({DOCS}/README.md): how to run, analyse and extend it\n\
         - [SQL]({DOCS}/ANALYSE.md): tables, views and functions of its database\n",
        text(api, "/info/title"),
        text(api, "/info/version"),
    );
    for tag in api["tags"].as_array().into_iter().flatten() {
        let name = text(tag, "/name");
        let _infallible = write!(out, "\n## {name}\n\n{}\n\n", text(tag, "/description"));
        for (path, item) in api["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let tags = operation["tags"].as_array();
                if tags.is_some_and(|tags| tags.contains(&tag["name"])) {
                    out.push_str(&line(&method.to_uppercase(), path, operation));
                }
            }
        }
    }
    out
}

/// The text that stands there (RFC 6901), or none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// One operation.
fn line(method: &str, path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array();
    let in_query = parameters
        .into_iter()
        .flatten()
        .filter(|it| it["in"] == "query");
    let query: Vec<String> = in_query
        .map(|parameter| {
            let mark = if parameter["required"] == true {
                "*"
            } else {
                ""
            };
            format!("{}{mark}", text(parameter, "/name"))
        })
        .collect();
    let mut line = format!("- `{method} {path}");
    if !query.is_empty() {
        let _infallible = write!(line, "?{}", query.join("&"));
    }
    line.push('`');
    let body = operation.pointer("/requestBody/content");
    let body = body.and_then(Value::as_object);
    if let Some((kind, content)) = body.and_then(|body| body.iter().next()) {
        let name = text(content, "/schema/$ref").rsplit('/').next();
        let name = name.filter(|name| !name.is_empty()).unwrap_or(kind);
        let _infallible = write!(line, " with a body `{name}`");
    }
    // Some summaries have several lines.
    let summary = text(operation, "/summary");
    let words: Vec<&str> = summary.split_whitespace().collect();
    let _infallible = writeln!(line, ": {}", words.join(" "));
    line
}
