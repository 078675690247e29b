//! Access: tokens, networks, chains, proxies, TLS. All of it is parsed here, once;
//! `docs/ACCESS.md` has the rules that follow from it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use actix_web::http::Uri;
use ipnet::IpNet;

use super::{HostNames, Reader, Tokens};

/// Settings of access.
#[derive(Debug, Clone, Default)]
pub struct AccessConfig {
    /// `TELEMETRY_TOKENS`: nodes connect to `/t/<token>/submit`.
    pub telemetry_tokens: Tokens,
    /// `AUDIT_TOKENS`: nodes connect to `/t/<token>/audit`.
    pub audit_tokens: Tokens,
    /// `API_TOKENS`: write over HTTP.
    pub api_tokens: Tokens,
    /// `READ_TOKENS`: read over HTTP.
    pub read_tokens: Tokens,
    /// `ALLOWED_NETWORKS`: from where nodes connect; empty means from everywhere.
    pub allowed_networks: Networks,
    /// `ALLOWED_CHAINS` and `DENIED_CHAINS`.
    pub chains: ChainRules,
    /// `TRUSTED_PROXIES`: networks whose headers give the address of a client.
    pub trusted_proxies: Networks,
    /// `EXPOSE_IP_ADDRESSES`: everybody sees the addresses of nodes.
    pub expose_ip_addresses: bool,
    /// `EXPOSE_LOCATIONS`: everybody sees the locations of nodes.
    pub expose_locations: bool,
    /// `CORS_ORIGINS`: pages elsewhere that may read and write.
    pub cors_origins: Vec<String>,
    /// `ALLOWED_HOSTS`: names under which this server is reached.
    pub allowed_hosts: HostNames,
    /// `TLS_CERT_PATH` and `TLS_KEY_PATH`.
    pub tls: Option<TlsFiles>,
}

/// The files of a certificate, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, and those between it and the root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl AccessConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            telemetry_tokens: Tokens::new(reader.list("TELEMETRY_TOKENS")),
            audit_tokens: Tokens::new(reader.list("AUDIT_TOKENS")),
            api_tokens: Tokens::new(reader.list("API_TOKENS")),
            read_tokens: Tokens::new(reader.list("READ_TOKENS")),
            allowed_networks: Networks::read(reader, "ALLOWED_NETWORKS"),
            chains: ChainRules {
                allowed: reader.list("ALLOWED_CHAINS").into(),
                denied: reader.list("DENIED_CHAINS").into(),
            },
            trusted_proxies: Networks::read(reader, "TRUSTED_PROXIES"),
            expose_ip_addresses: reader.parsed("EXPOSE_IP_ADDRESSES", false),
            expose_locations: reader.parsed("EXPOSE_LOCATIONS", false),
            cors_origins: reader
                .list("CORS_ORIGINS")
                .into_iter()
                .map(|Origin(origin)| origin)
                .collect(),
            allowed_hosts: HostNames::new(reader.list("ALLOWED_HOSTS")),
            tls: read_tls(reader),
        }
    }

    /// Whether nodes need a token for `/submit`.
    pub fn submit_needs_token(&self) -> bool {
        !self.telemetry_tokens.is_empty()
    }

    /// Whether nodes need a token for `/audit`, where messages are kept for good:
    /// as soon as nodes have tokens at all.
    pub fn audit_needs_token(&self) -> bool {
        !self.telemetry_tokens.is_empty() || !self.audit_tokens.is_empty()
    }

    /// What is open, in one line for the operator.
    pub fn summary(&self) -> String {
        let any_node =
            !self.audit_needs_token() && self.allowed_networks.is_empty() && !self.chains.are_set();
        let any_reader = self.read_tokens.is_empty();
        let writers = if self.api_tokens.is_empty() {
            "only this machine may write over HTTP"
        } else {
            "writing over HTTP needs a token"
        };
        if any_node && any_reader {
            return format!(
                "everything is open: every node is let in, everybody may read, {writers}; docs/ACCESS.md says how to close it"
            );
        }
        let mut rules = Vec::new();
        if self.submit_needs_token() {
            rules.push("by token");
        } else if self.audit_needs_token() {
            rules.push("by token to /audit");
        }
        if !self.allowed_networks.is_empty() {
            rules.push("from ALLOWED_NETWORKS");
        }
        if self.chains.are_set() {
            rules.push("of allowed chains");
        }
        let nodes = match rules.as_slice() {
            [] => "every node is let in".to_owned(),
            rules => format!("nodes are let in {}", rules.join(", ")),
        };
        let readers = if any_reader {
            "everybody may read"
        } else {
            "reading needs a token"
        };
        format!("{nodes}; {readers}; {writers}")
    }
}

fn read_tls(reader: &mut Reader<'_>) -> Option<TlsFiles> {
    let cert = reader.text("TLS_CERT_PATH").map(PathBuf::from);
    let key = reader.text("TLS_KEY_PATH").map(PathBuf::from);
    match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            reader.fault("TLS_KEY_PATH", "TLS_CERT_PATH needs it too".to_owned());
            None
        }
        (None, Some(_)) => {
            reader.fault("TLS_CERT_PATH", "TLS_KEY_PATH needs it too".to_owned());
            None
        }
    }
}

/// Networks by address and length of their prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Self {
        let networks = reader.list(name);
        Self(
            networks
                .into_iter()
                .map(|Network(network)| network)
                .collect(),
        )
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them holds the address. IPv4 in IPv6 (`::ffff:10.0.0.1`)
    /// counts as IPv4.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// A network; an address alone is a network of one.
struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(|ip| ip.to_canonical().into()));
        network
            .map(Self)
            .map_err(|_error| format!("'{text}' is no network such as 10.0.0.0/8 or fd00::/8"))
    }
}

/// Which chains may send telemetry, by genesis hash. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainRules {
    allowed: Arc<[GenesisHash]>,
    denied: Arc<[GenesisHash]>,
}

impl ChainRules {
    /// There are any rules.
    pub fn are_set(&self) -> bool {
        !self.allowed.is_empty() || !self.denied.is_empty()
    }

    /// Whether a node without a known genesis hash may send: only while
    /// `ALLOWED_CHAINS` is empty.
    pub fn admit_unknown(&self) -> bool {
        self.allowed.is_empty()
    }

    /// Whether a node may send that introduced itself with this genesis hash.
    /// `DENIED_CHAINS` outweighs `ALLOWED_CHAINS`.
    pub fn admit(&self, genesis_hash: Option<&str>) -> bool {
        match genesis_hash.and_then(|hash| hash.parse::<GenesisHash>().ok()) {
            None => self.admit_unknown(),
            Some(hash) => {
                !self.denied.contains(&hash)
                    && (self.allowed.is_empty() || self.allowed.contains(&hash))
            }
        }
    }
}

/// 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GenesisHash(String);

impl FromStr for GenesisHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(digits.to_ascii_lowercase()))
        } else {
            Err(format!(
                "'{text}' is no genesis hash: 0x and 64 hexadecimal digits"
            ))
        }
    }
}

/// Scheme, host and port of a page, as browsers send it.
struct Origin(String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or_default();
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
        let is_uri = text.parse::<Uri>().is_ok();
        if host.is_empty() || !is_uri || !host.chars().all(allowed) {
            return Err(format!(
                "'{text}' is no origin such as https://grafana.example.org, in lower case, without a path"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};
    use super::*;

    const TOKEN: &str = "0123456789abcdef";
    const GENESIS: &str = "0x61644a25da5ad31754e23bc1eca8c766a61ceaa8c60ddc65f158a30209256e35";

    fn access(values: &[(&str, &str)]) -> Result<AccessConfig, ConfigError> {
        let config = Config::from_lookup(&|name| {
            let found = values.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        config.map(|config| config.access)
    }

    #[test]
    fn nothing_is_set_by_default() {
        let access = access(&[]).unwrap();
        assert!(!access.submit_needs_token() && !access.audit_needs_token());
        assert!(access.chains.admit(None) && !access.chains.are_set());
        assert!(access.tls.is_none() && !access.expose_ip_addresses);
        assert!(access.summary().starts_with("everything is open: "));
    }

    #[test]
    fn each_of_several_tokens_is_good_and_nothing_else() {
        let access = access(&[("API_TOKENS", "0123456789abcdef, fedcba9876543210 ,")]).unwrap();
        let tokens = access.api_tokens;
        assert!(tokens.admit(TOKEN) && tokens.admit("fedcba9876543210"));
        for bad in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
        ] {
            assert!(!tokens.admit(bad), "{bad}");
        }
        assert!(!Tokens::default().admit(""));
        assert!(!format!("{tokens:?}").contains("0123"));
    }

    #[test]
    fn faults_name_the_setting_but_never_a_token() {
        for bad in [
            "geheim",
            "geheim geheim geheim",
            "geheim/geheim/geheim",
            "geheimgeheimgeheimé",
        ] {
            let error = access(&[("READ_TOKENS", bad)]).unwrap_err().to_string();
            assert!(error.contains("READ_TOKENS: each token must have 16 to 256"));
            assert!(!error.contains("geheim"), "{error}");
        }
        for (name, bad) in [
            ("ALLOWED_NETWORKS", "10.0.0.0/33"),
            ("TRUSTED_PROXIES", "proxy"),
            ("ALLOWED_CHAINS", "0x61"),
            ("DENIED_CHAINS", "Polkadot"),
            ("EXPOSE_IP_ADDRESSES", "yes"),
            ("CORS_ORIGINS", "https://a.example/"),
            ("CORS_ORIGINS", "*"),
            ("ALLOWED_HOSTS", "https://a.example"),
        ] {
            let error = access(&[(name, bad)]).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: '{bad}' is no")), "{error}");
        }
        let error = access(&[("TLS_CERT_PATH", "a")]).unwrap_err().to_string();
        assert!(
            error.contains("TLS_KEY_PATH: TLS_CERT_PATH needs it"),
            "{error}"
        );
    }

    #[test]
    fn networks_hold_addresses_of_both_families() {
        let access = access(&[("ALLOWED_NETWORKS", "10.1.0.0/16,fd00::/8,192.0.2.7")]).unwrap();
        for (ip, inside) in [
            ("10.1.255.1", true),
            ("::ffff:10.1.0.1", true),
            ("10.2.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(
                access.allowed_networks.contain(ip.parse().unwrap()),
                inside,
                "{ip}"
            );
        }
    }

    #[test]
    fn chains_are_judged_by_genesis_hash() {
        let other = GENESIS.replace('6', "7");
        let only = access(&[("ALLOWED_CHAINS", GENESIS)]).unwrap().chains;
        assert!(only.admit(Some(&GENESIS.to_uppercase().replace("0X", "0x"))));
        assert!(!only.admit(Some(&other)) && !only.admit(None) && !only.admit(Some("?")));
        let without = access(&[("DENIED_CHAINS", GENESIS)]).unwrap().chains;
        assert!(!without.admit(Some(GENESIS)));
        assert!(without.admit(Some(&other)) && without.admit(None));
        let both = access(&[("ALLOWED_CHAINS", GENESIS), ("DENIED_CHAINS", GENESIS)]);
        assert!(!both.unwrap().chains.admit(Some(GENESIS)));
    }

    #[test]
    fn audit_needs_a_token_as_soon_as_nodes_have_any() {
        let audit = access(&[("AUDIT_TOKENS", TOKEN)]).unwrap();
        assert!(audit.audit_needs_token() && !audit.submit_needs_token());
        let telemetry = access(&[("TELEMETRY_TOKENS", TOKEN)]).unwrap();
        assert!(telemetry.audit_needs_token() && telemetry.submit_needs_token());
        assert!(telemetry.audit_tokens.is_empty());
        assert_eq!(
            telemetry.summary(),
            "nodes are let in by token; everybody may read; only this machine may write over HTTP"
        );
    }
}
