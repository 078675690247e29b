//! A PostgreSQL of a test's own, to be stopped and started. It forces commits
//! to disk, as one in use does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use tetcore_analytics::postgres::{EmbeddedOptions, EmbeddedPostgres};

pub(super) struct Cluster {
    dir: tempfile::TempDir,
    postgres: Option<EmbeddedPostgres>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Cluster {
    pub(super) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// With the data that a directory holds.
    pub(super) fn start_in(dir: tempfile::TempDir) -> Self {
        let mut cluster = Self {
            dir,
            postgres: None,
        };
        cluster.start_again();
        cluster
    }

    pub(super) fn start_again(&mut self) {
        let options = EmbeddedOptions {
            data_dir: self.dir.path().to_owned(),
            bin_dir: None,
            durable: true,
        };
        self.postgres = Some(EmbeddedPostgres::start(&options).unwrap());
    }

    pub(super) fn stop(&mut self) {
        self.postgres.take().unwrap().stop();
    }

    /// Settings for the next start.
    pub(super) fn customise(&self, settings: &str) {
        let custom = self.dir.path().join("postgres/custom.conf");
        fs::write(&custom, settings).unwrap();
        fs::set_permissions(&custom, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// The user and group that PostgreSQL runs as.
    pub(super) fn owner(&self) -> (u32, u32) {
        let owner = fs::metadata(self.dir.path().join("postgres")).unwrap();
        (owner.uid(), owner.gid())
    }

    /// Starts it again so that others can be replicas of it.
    pub(super) fn allow_replicas(&mut self) {
        self.stop();
        self.customise("wal_level = replica\nmax_wal_senders = 4\n");
        let access = self.dir.path().join("postgres/pg_hba.conf");
        let mut rules = fs::read_to_string(&access).unwrap();
        rules.push_str("host replication all 127.0.0.1/32 scram-sha-256\n");
        fs::write(&access, rules).unwrap();
        self.start_again();
    }

    /// Puts tables that are made from now on into a new directory.
    pub(super) fn put_tables_in(&self, dir: &Path) {
        fs::create_dir(dir).unwrap();
        let (uid, gid) = self.owner();
        chown(dir, Some(uid), Some(gid)).unwrap();
        let mut connection = self.connect().unwrap();
        for statement in [
            format!("CREATE TABLESPACE elsewhere LOCATION '{}'", dir.display()),
            "ALTER ROLE current_user SET default_tablespace = elsewhere".to_owned(),
        ] {
            diesel::sql_query(statement)
                .execute(&mut connection)
                .unwrap();
        }
    }

    pub(super) fn url(&self) -> String {
        self.postgres.as_ref().unwrap().tcp_url().to_owned()
    }

    /// The password within the URL.
    pub(super) fn password(&self) -> String {
        let url = self.url();
        let (_, after_user) = url
            .trim_start_matches("postgres://")
            .split_once(':')
            .unwrap();
        after_user.split_once('@').unwrap().0.to_owned()
    }

    pub(super) fn connect(&self) -> ConnectionResult<PgConnection> {
        PgConnection::establish(&self.url())
    }

    pub(super) fn count(&self, query: &str) -> i64 {
        let query = format!("SELECT ({query})::bigint AS count");
        let count: Count = diesel::sql_query(query)
            .get_result(&mut self.connect().unwrap())
            .unwrap();
        count.count
    }
}
