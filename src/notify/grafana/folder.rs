//! The folder of the dashboards.

use serde_json::{Value, json};

use super::api::{Api, GrafanaError, Sent};
use super::report::Report;
use crate::grafana::{FOLDER_TITLE, FOLDER_UID};

/// Folders of one page; Grafana's most.
const PAGE: usize = 1_000;

/// Pages that are looked through.
const PAGES_MAX: usize = 20;

/// The uid of the folder: ours, that of one of our title, or that of the one that is made.
pub(super) fn take(api: &Api, report: &mut Report<'_>) -> Result<String, GrafanaError> {
    let what = format!("folder {FOLDER_TITLE}");
    if let Some(uid) = find(api)? {
        report.unchanged(&what);
        return Ok(uid);
    }
    report.made(&what);
    if report.is_dry_run() {
        return Ok(FOLDER_UID.to_owned());
    }
    let body = json!({"uid": FOLDER_UID, "title": FOLDER_TITLE});
    match api.post("folders", &body, "make a folder")? {
        Sent::Done(made) => Ok(uid_of(&made).unwrap_or_else(|| FOLDER_UID.to_owned())),
        // Another server made it just now.
        Sent::Conflict(text) => find(api)?.ok_or_else(|| GrafanaError::Refused {
            what: "make the folder".to_owned(),
            text,
        }),
    }
}

fn find(api: &Api) -> Result<Option<String>, GrafanaError> {
    let looked = "look at folders";
    let ours = match api.get(&format!("folders/{FOLDER_UID}"), looked) {
        // Newer versions say so of a folder that is not there.
        Err(GrafanaError::MayNot { .. }) => None,
        ours => ours?,
    };
    if let Some(uid) = ours.as_ref().and_then(uid_of) {
        return Ok(Some(uid));
    }
    for page in 1..=PAGES_MAX {
        let listed = api.get(&format!("folders?limit={PAGE}&page={page}"), looked)?;
        let listed = listed.as_ref().and_then(Value::as_array);
        let folders = listed.map(Vec::as_slice).unwrap_or_default();
        let is_ours = |folder: &&Value| {
            let title = folder.get("title").and_then(Value::as_str);
            title.is_some_and(|title| title.eq_ignore_ascii_case(FOLDER_TITLE))
        };
        if let Some(folder) = folders.iter().find(is_ours) {
            return Ok(uid_of(folder));
        }
        if folders.len() < PAGE {
            break;
        }
    }
    Ok(None)
}

fn uid_of(value: &Value) -> Option<String> {
    value.get("uid")?.as_str().map(str::to_owned)
}
