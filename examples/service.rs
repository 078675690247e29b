//! A service that tells this server how it does: that it is alive, what its jobs do, and what
//! happened meanwhile. `cargo run --example service -- ws://127.0.0.1:8080 [TOKEN]`
//!
//! Heartbeats and events go over one websocket, as messages of a node do; what must not be lost
//! is posted, for the answer says that it is kept. Both ways lead to the same place, and an
//! event with an `_id` is stored once, however often it is sent.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, connect};

const SERVICE: &str = "example";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or("ws://127.0.0.1:8080".to_owned());
    let token = arguments.next();
    let path = token
        .as_ref()
        .map_or("/submit".to_owned(), |token| format!("/t/{token}/submit"));
    let (mut socket, _answer) = connect(format!("{server}{path}"))?;
    let mut say = |payload: Value| {
        let frame = json!({"id": 1, "ts": chrono::Utc::now().to_rfc3339(), "payload": payload});
        socket.send(Message::text(frame.to_string()))
    };
    // Who it is: without that, events over a websocket have only the session as their source.
    say(json!({"msg": "system.connected", "name": SERVICE, "network_id": SERVICE}))?;
    for run in 0..10 {
        // Alive, and the next sign comes within 30 s.
        say(
            json!({"msg": "heartbeat", "service": SERVICE, "interval_s": 30, "metrics": {"runs": run}}),
        )?;
        let job = |name: &str, more: Value| {
            let id = format!("{SERVICE} {} {run} {name}", std::process::id());
            let mut event = json!({"_e": 1, "_id": id, "name": name, "service_id": SERVICE, "job_id": "prices"});
            if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
                event.extend(more);
            }
            event
        };
        // A line is enough where there is nothing else.
        say(json!({"msg": "log", "lines": job("job.started", json!({})).to_string()}))?;
        let started_at = Instant::now();
        let outcome = work(run);
        let duration_ms = started_at.elapsed().as_millis();
        let ended = match outcome {
            Ok(price) => job(
                "job.finished",
                json!({"duration_ms": duration_ms, "price": price}),
            ),
            Err(error) => job(
                "job.failed",
                json!({"duration_ms": duration_ms, "error": error}),
            ),
        };
        post(
            &server.replacen("ws", "http", 1),
            token.as_deref(),
            &json!([ended]),
        )?;
    }
    socket.close(None)?;
    Ok(())
}

/// What the service is for.
fn work(run: u32) -> Result<u32, &'static str> {
    std::thread::sleep(Duration::from_millis(100));
    match run % 5 {
        4 => Err("timeout"),
        _ => Ok(100 + run),
    }
}

/// Posts events, again if the server has no room or does not answer.
fn post(server: &str, token: Option<&str>, events: &Value) -> Result<(), Failure> {
    let mut wait = Duration::from_secs(1);
    loop {
        let mut request = ureq::post(format!("{server}/events"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        match request.send_json(events) {
            Ok(_kept) => return Ok(()),
            Err(ureq::Error::StatusCode(status)) if status < 500 => {
                return Err(format!("the server refuses the events: {status}").into());
            }
            Err(_later) if wait < Duration::from_secs(60) => {
                std::thread::sleep(wait);
                wait *= 2;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
