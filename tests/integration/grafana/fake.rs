//! A Grafana that answers as versions 10 to 13 do: statuses, messages and shapes are theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Received, Receiver, Reply};

pub const TOKEN: &str = "glsa_geheim";

/// A dashboard that is saved.
#[derive(Debug, Clone)]
pub struct Saved {
    pub dashboard: Value,
    pub folder: String,
    pub messages: Vec<String>,
    pub is_file: bool,
}

/// What it holds.
#[derive(Debug, Default)]
pub struct State {
    pub folders: Vec<(String, String)>,
    pub sources: Vec<Value>,
    pub dashboards: BTreeMap<String, Saved>,
    /// So many times somebody else saves a dashboard or a data source just before ours.
    pub others: usize,
    /// What the token may not write.
    pub forbidden: Option<&'static str>,
}

pub struct FakeGrafana {
    receiver: Receiver,
    state: Arc<Mutex<State>>,
}

impl FakeGrafana {
    pub fn start(major: u32) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        let receiver = Receiver::answering(move |request, _| {
            let (status, body) = answer(major, request, &mut shared.lock().unwrap());
            Reply::Body(status, body.to_string().into_bytes())
        });
        Self { receiver, state }
    }

    /// Beneath a path, as behind a proxy.
    pub fn url(&self) -> String {
        self.receiver.url().replace("/hook", "/grafana/")
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap())
    }

    /// Answers in another way from now on.
    pub fn answer(&self, rule: impl Fn(&Received, usize) -> Reply + Send + 'static) {
        self.receiver.answer(rule);
    }

    /// Methods and paths of everything that was to change something, since the last call.
    pub fn take_writes(&self, seen: &mut usize) -> Vec<String> {
        let received = self.receiver.received();
        let new = received.get(*seen..).unwrap_or_default().to_vec();
        *seen = received.len();
        new.into_iter()
            .filter(|request| request.method != "GET")
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }
}

fn problem(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"message": message}))
}

fn answer(major: u32, request: &Received, state: &mut State) -> (u16, Value) {
    let path = request.path.strip_prefix("/grafana/api/").unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if path == "health" {
        return (
            200,
            json!({"database": "ok", "version": format!("{major}.1.0"), "commit": "x"}),
        );
    }
    if request.headers.get("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return problem(
            401,
            if major < 11 {
                "Invalid API key"
            } else {
                "Unauthorized"
            },
        );
    }
    let method = request.method.as_str();
    if method != "GET" && state.forbidden.is_some_and(|part| path.starts_with(part)) {
        return (
            403,
            json!({"accessErrorId": "ACE1", "message": "You'll need additional permissions to perform this action. Permissions needed: datasources:write", "title": "Access denied"}),
        );
    }
    let parts: Vec<&str> = path.split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["folders"]) => {
            assert_eq!(query, "limit=1000&page=1");
            let folders = state.folders.iter();
            (
                200,
                folders
                    .map(|(uid, title)| json!({"id": 1, "uid": uid, "title": title}))
                    .collect(),
            )
        }
        ("GET", ["folders", uid]) => match state.folders.iter().find(|(known, _)| known == uid) {
            Some((uid, title)) => (200, json!({"id": 1, "uid": uid, "title": title})),
            // A token that may not see all folders is told nothing of one that is not there.
            None if major >= 12 => (
                403,
                json!({"accessErrorId": "ACE2", "message": "You'll need additional permissions to perform this action. Permissions needed: folders:read", "title": "Access denied"}),
            ),
            None => (
                404,
                json!({"message": "folder not found", "status": "not-found"}),
            ),
        },
        ("POST", ["folders"]) => make_folder(major, &request.json(), state),
        ("GET", ["datasources"]) => (200, state.sources.iter().map(listed).collect()),
        ("POST", ["datasources"]) => make_source(request.json(), state),
        ("GET", ["datasources", "uid", uid]) => {
            match state.sources.iter().find(|one| one["uid"] == *uid) {
                Some(source) => (200, shown(source)),
                None => problem(404, "Data source not found"),
            }
        }
        ("PUT", ["datasources", "uid", uid]) => change_source(uid, request.json(), state),
        ("GET", ["dashboards", "uid", uid]) => show_dashboard(major, uid, state),
        ("GET", ["dashboards", "uid", uid, "versions"]) => {
            let messages = &state.dashboards[*uid].messages;
            let versions: Value = messages
                .iter()
                .rev()
                .take(1)
                .map(|message| json!({"version": messages.len(), "message": message}))
                .collect();
            match major {
                ..11 => (200, versions),
                _ => (200, json!({"continueToken": "", "versions": versions})),
            }
        }
        ("POST", ["dashboards", "db"]) => save_dashboard(major, &request.json(), state),
        // Grafana 13 knows no numeric ids any more.
        _ => panic!("Grafana has no {method} {path}"),
    }
}

fn make_folder(major: u32, wanted: &Value, state: &mut State) -> (u16, Value) {
    let text = |name: &str| wanted[name].as_str().unwrap().to_owned();
    let (uid, title) = (text("uid"), text("title"));
    if state.folders.iter().any(|(known, _)| *known == uid) {
        return problem(412, "a folder/dashboard with the same uid already exists");
    }
    if major < 11 && state.folders.iter().any(|(_, known)| *known == title) {
        return problem(
            409,
            "a folder with the same name already exists in the current location",
        );
    }
    state.folders.push((uid.clone(), title.clone()));
    (
        200,
        json!({"id": 1, "uid": uid, "title": title, "version": 1}),
    )
}

/// No answer shows a secret, only that there is one.
fn shown(source: &Value) -> Value {
    let mut shown = source.clone();
    let fields = shown.as_object_mut().unwrap();
    let secrets = fields.remove("secureJsonData");
    fields.insert(
        "secureJsonFields".to_owned(),
        json!({"password": secrets.is_some()}),
    );
    fields.entry("readOnly").or_insert(json!(false));
    shown
}

/// As the list shows it: without the version.
fn listed(source: &Value) -> Value {
    let mut shown = shown(source);
    shown.as_object_mut().unwrap().remove("version");
    shown
}

fn make_source(mut source: Value, state: &mut State) -> (u16, Value) {
    if state
        .sources
        .iter()
        .any(|known| known["name"] == source["name"])
    {
        return problem(409, "data source with the same name already exists");
    }
    assert!(source.get("id").is_none());
    source["id"] = json!(state.sources.len() + 1);
    source["version"] = json!(1);
    state.sources.push(source.clone());
    (
        200,
        json!({"datasource": shown(&source), "id": source["id"], "message": "Datasource added"}),
    )
}

fn change_source(uid: &str, mut source: Value, state: &mut State) -> (u16, Value) {
    let known = state
        .sources
        .iter_mut()
        .find(|one| one["uid"] == uid)
        .unwrap();
    if known["readOnly"] == true {
        return problem(403, "Cannot update read-only data source");
    }
    if state.others > 0 {
        state.others -= 1;
        known["version"] = json!(known["version"].as_u64().unwrap() + 1);
    }
    if source["version"] != known["version"] {
        return problem(
            409,
            "Datasource has already been updated by someone else. Please reload and try again",
        );
    }
    source["version"] = json!(known["version"].as_u64().unwrap() + 1);
    source["id"] = known["id"].clone();
    *known = source.clone();
    (
        200,
        json!({"datasource": shown(&source), "message": "Datasource updated"}),
    )
}

fn show_dashboard(major: u32, uid: &str, state: &State) -> (u16, Value) {
    let Some(saved) = state.dashboards.get(uid) else {
        return problem(404, "Dashboard not found");
    };
    let mut dashboard = saved.dashboard.clone();
    dashboard["id"] = json!(7);
    dashboard["version"] = json!(saved.messages.len());
    if major >= 12 {
        // It is brought up to the schema of the version when it is read.
        dashboard["schemaVersion"] = json!(42);
        for panel in dashboard["panels"].as_array_mut().unwrap() {
            panel["pluginVersion"] = json!(format!("{major}.1.0"));
            panel.as_object_mut().unwrap().remove("gridPos");
        }
    }
    let meta = json!({"folderUid": saved.folder, "provisioned": saved.is_file, "provisionedExternalId": "", "slug": "x", "url": "/d/x"});
    (200, json!({"dashboard": dashboard, "meta": meta}))
}

fn save_dashboard(major: u32, wanted: &Value, state: &mut State) -> (u16, Value) {
    // By uids only.
    assert!(wanted.get("folderId").is_none() && wanted["dashboard"].get("id").is_none());
    assert_eq!(wanted["overwrite"], false);
    let dashboard = &wanted["dashboard"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (uid, folder) = (text(&dashboard["uid"]), text(&wanted["folderUid"]));
    if !state.folders.iter().any(|(known, _)| *known == folder) {
        return (
            404,
            json!({"message": "folder not found", "status": "not-found"}),
        );
    }
    let is_same =
        |known: &Saved| known.folder == folder && known.dashboard["title"] == dashboard["title"];
    if major < 11
        && state
            .dashboards
            .iter()
            .any(|(known, saved)| *known != uid && is_same(saved))
    {
        return (
            412,
            json!({"message": "A dashboard with the same name in the folder already exists", "status": "name-exists"}),
        );
    }
    let others = &mut state.others;
    if let Some(saved) = state.dashboards.get_mut(&uid) {
        if saved.is_file {
            return problem(400, "Cannot save provisioned dashboard");
        }
        if *others > 0 {
            *others -= 1;
            saved.messages.push("by hand".to_owned());
        }
        if dashboard["version"] != json!(saved.messages.len()) {
            let message = "The dashboard has been changed by someone else";
            return match major {
                ..13 => (
                    412,
                    json!({"message": message, "status": "version-mismatch"}),
                ),
                // As the storage of Kubernetes says it.
                _ => problem(409, message),
            };
        }
    }
    let mut messages = state
        .dashboards
        .get(&uid)
        .map_or(Vec::new(), |saved| saved.messages.clone());
    messages.push(text(&wanted["message"]));
    let version = messages.len();
    let saved = Saved {
        dashboard: dashboard.clone(),
        folder,
        messages,
        is_file: false,
    };
    state.dashboards.insert(uid.clone(), saved);
    (
        200,
        json!({"id": 7, "uid": uid, "status": "success", "version": version, "url": "/d/x"}),
    )
}
