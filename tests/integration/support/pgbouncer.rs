//! A `PgBouncer` in front of the database of the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use super::{TestDb, free_port, skip, wait_until};

/// A running `PgBouncer`.
pub struct PgBouncer {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl PgBouncer {
    /// With `pool_size` connections to the database of a test, and settings of its own.
    /// None where it is not installed.
    pub fn start(db: &TestDb, pool_size: u32, settings: &str) -> Option<Self> {
        let Some(program) = program() else {
            skip("pgbouncer is not installed");
            return None;
        };
        let url = db.url();
        let rest = url.strip_prefix("postgres://").unwrap();
        let (user, place) = rest.split_once('@').unwrap();
        let (user, password) = user.split_once(':').unwrap();
        let (host, database) = place.split_once('/').unwrap();
        let (host, port_of_database) = host.split_once(':').unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (config, users) = (dir.path().join("ini"), dir.path().join("users"));
        let port = free_port();
        let text = format!(
            "[databases]\n\
             {database} = host={host} port={port_of_database}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = plain\n\
             auth_file = {}\n\
             default_pool_size = {pool_size}\n\
             {settings}\n",
            users.display()
        );
        fs::write(&config, text).unwrap();
        fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(program);
        if fs::metadata(dir.path()).is_ok_and(|dir| std::os::unix::fs::MetadataExt::uid(&dir) == 0)
        {
            command.args(["-u", "postgres"]);
        }
        let process = command
            .arg(&config)
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let bouncer = Self {
            process,
            port,
            _dir: dir,
        };
        wait_until("pgbouncer listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(bouncer)
    }

    /// The URL of the database through it.
    pub fn url(&self, db: &TestDb) -> String {
        let url = db.url();
        let (user, place) = url.split_once('@').unwrap();
        let (_, database) = place.split_once('/').unwrap();
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian puts it where only root looks.
fn program() -> Option<&'static str> {
    let candidates = ["pgbouncer", "/usr/sbin/pgbouncer"];
    candidates.into_iter().find(|program| {
        let tried = Command::new(program).arg("--version").output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}
