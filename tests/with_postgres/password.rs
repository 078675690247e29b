//! The password of the tests, kept such that it is checked quickly: the tests connect tens of
//! thousands of times, and the 4,096 rounds of hashing each time are a thirtieth of all their
//! processor time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tetcore_analytics::postgres::EmbeddedPostgres;
use url::Url;

const SALT: &[u8] = b"of the tests";

/// Has the password of the cluster checked with one round of hashing. Nobody but the tests
/// of this machine reaches it.
pub(crate) fn make_quick(postgres: &EmbeddedPostgres) {
    let url = Url::parse(postgres.tcp_url()).expect("an address");
    let (role, password) = (url.username(), url.password().unwrap_or_default());
    let mut conn = PgConnection::establish(postgres.url()).expect("a connection");
    let alter = format!("ALTER ROLE {role} PASSWORD '{}'", verifier(password));
    conn.batch_execute(&alter).expect("a role");
}

/// How PostgreSQL keeps a password, after RFC 5802 with one iteration.
fn verifier(password: &str) -> String {
    let salted = hmac(password.as_bytes(), &[SALT, &1_u32.to_be_bytes()].concat());
    let stored_key = Sha256::digest(hmac(&salted, b"Client Key"));
    let server_key = hmac(&salted, b"Server Key");
    let [salt, stored_key, server_key] =
        [SALT, &stored_key, &server_key].map(|bytes| STANDARD.encode(bytes));
    format!("SCRAM-SHA-256$1:{salt}${stored_key}:{server_key}")
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}
