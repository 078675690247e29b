//! One dashboard.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::api::{Api, GrafanaError, Sent};
use super::report::{Report, differences};

/// How often it is tried when somebody else saves the same dashboard meanwhile.
const TRIES: usize = 3;

/// Bytes of the digest of a dashboard that its version in Grafana carries.
const DIGEST_BYTES: usize = 8;

/// Makes a dashboard, or brings it up to date. One that Grafana reads from a file stays as it is.
pub(super) fn take(
    api: &Api,
    folder: &str,
    wanted: &Value,
    report: &mut Report<'_>,
) -> Result<(), GrafanaError> {
    let text = |name: &str| wanted.get(name).and_then(Value::as_str).unwrap_or_default();
    let (uid, title) = (text("uid"), text("title"));
    let what = format!("dashboard {title}");
    let message = message(wanted);
    for _ in 0..TRIES {
        let found = api.get(&format!("dashboards/uid/{uid}"), "look at dashboards")?;
        let meta = |name: &str| found.as_ref()?.get("meta")?.get(name);
        if meta("provisioned") == Some(&Value::Bool(true)) {
            report.warn(&format!(
                "{what} is read from a file by Grafana, and stays as it is"
            ));
            return Ok(());
        }
        let there = found.as_ref().and_then(|found| found.get("dashboard"));
        let mut changed = there.map(|there| differences(wanted, there));
        if let Some(changed) = &mut changed {
            // Newer versions show a dashboard as they would write it: whether it is ours its version says.
            if !changed.is_empty() && latest_message(api, uid)?.as_deref() == Some(&message) {
                changed.clear();
            }
            let is_there = meta("folderUid").and_then(Value::as_str) == Some(folder);
            if !is_there {
                changed.push(format!("moved to folder {folder}"));
            }
            if changed.is_empty() {
                report.unchanged(&what);
                return Ok(());
            }
        }
        let mut body = wanted.clone();
        let version = there.and_then(|there| there.get("version"));
        if let (Some(version), Some(body)) = (version, body.as_object_mut()) {
            // It is refused if that is not the latest version any more.
            body.insert("version".to_owned(), version.clone());
        }
        let body =
            json!({"dashboard": body, "folderUid": folder, "message": message, "overwrite": false});
        let sent = match report.is_dry_run() {
            true => Sent::Done(Value::Null),
            false => api.post("dashboards/db", &body, &format!("save {what}"))?,
        };
        match sent {
            Sent::Done(_) => {
                match changed {
                    Some(changed) => report.changed(&what, &changed),
                    None => report.made(&what),
                }
                return Ok(());
            }
            Sent::Conflict(text) if text.contains("name-exists") => {
                return Err(GrafanaError::TitleTaken {
                    title: title.to_owned(),
                });
            }
            Sent::Conflict(_) => {}
        }
    }
    Err(GrafanaError::Changing { what })
}

/// What the version history shows, and by which it is known again.
fn message(wanted: &Value) -> String {
    let digest = Sha256::digest(wanted.to_string());
    let digest: String = digest
        .iter()
        .take(DIGEST_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("tetcore-analytics {} {digest}", env!("CARGO_PKG_VERSION"))
}

/// What stands at the latest version of a dashboard.
fn latest_message(api: &Api, uid: &str) -> Result<Option<String>, GrafanaError> {
    let path = format!("dashboards/uid/{uid}/versions?limit=1");
    let history = match api.get(&path, "look at versions of dashboards") {
        Err(GrafanaError::MayNot { .. }) => None,
        history => history?,
    };
    // A list by itself until Grafana 11.
    let message = history.as_ref().and_then(|history| {
        let versions = history.get("versions").unwrap_or(history);
        versions.get(0)?.get("message")?.as_str()
    });
    Ok(message.map(str::to_owned))
}
