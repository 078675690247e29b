//! TLS of our own: a certificate that is read again when its files change.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, SignatureScheme, Stream,
};
use webpki::EndEntityCert;

use crate::config::{HostNames, TlsFiles};
use crate::http::OwnNames;

/// How often is looked whether the files changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("{path} cannot be used: {cause}; TLS_CERT_PATH and TLS_KEY_PATH name PEM files", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The certificate and the key are not a pair.
    #[error("TLS_CERT_PATH and TLS_KEY_PATH do not fit together: {0}")]
    Pair(rustls::Error),
    /// A mistake in the choice of protocols.
    #[error("TLS: {0}")]
    Protocol(rustls::Error),
}

/// The certificate in use, and where it comes from.
struct Certificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
    names: Arc<OwnNames>,
}

/// By what a change of the files is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 2]);

/// The certificate in those files, followed from now on.
pub(super) fn start(files: &TlsFiles, names: &Arc<OwnNames>) -> Result<ServerConfig, TlsError> {
    let certificate = Certificate::load(files, names)?;
    let config = certificate.server_config()?;
    actix_web::rt::spawn(certificate.watch());
    Ok(config)
}

impl Certificate {
    /// Reads it.
    fn load(files: &TlsFiles, names: &Arc<OwnNames>) -> Result<Arc<Self>, TlsError> {
        let pair = read_pair(files)?;
        names.set_certificate(names_of(&pair));
        Ok(Arc::new(Self {
            current: RwLock::new(Arc::new(pair)),
            files: files.clone(),
            names: names.clone(),
        }))
    }

    /// For the TLS handshakes of the server; follows the changes of the certificate.
    fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Protocol)?;
        let mut config = config
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Watches the files for ever. A pair that cannot be used is logged once, and
    /// the old one stays.
    async fn watch(self: Arc<Self>) {
        let mut seen = self.stamp();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let certificate = self.clone();
            let looked = tokio::task::spawn_blocking(move || certificate.look(seen)).await;
            // It does not panic; if it did, the next look is as good.
            seen = looked.unwrap_or(seen);
        }
    }

    fn look(&self, seen: Stamp) -> Stamp {
        // Taken before reading: a change meanwhile is seen the next time.
        let stamp = self.stamp();
        if stamp != seen {
            match read_pair(&self.files) {
                Ok(pair) => {
                    self.names.set_certificate(names_of(&pair));
                    let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                    *current = Arc::new(pair);
                    log::info!("the TLS certificate was read again");
                }
                Err(error) => {
                    log::error!("the new TLS certificate is not used, the old one stays: {error}");
                }
            }
        }
        stamp
    }

    fn stamp(&self) -> Stamp {
        let of_file = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Stamp([of_file(&self.files.cert), of_file(&self.files.key)])
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Certificate");
        shown.field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.clone())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The names that a certificate is for; none if it cannot be understood.
fn names_of(pair: &CertifiedKey) -> HostNames {
    let certificate = pair.end_entity_cert().ok();
    let certificate = certificate.and_then(|der| EndEntityCert::try_from(der).ok());
    let names = certificate.iter().flat_map(|found| found.valid_dns_names());
    HostNames::from_names(names)
}

fn read_pair(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: rustls::pki_types::pem::Error| TlsError::File {
            path,
            cause: error.to_string(),
        }
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(failed(&files.cert))?;
    if chain.is_empty() {
        return Err(TlsError::File {
            path: files.cert.clone(),
            cause: "it holds no certificate".to_owned(),
        });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(failed(&files.key))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Pair)
}

/// Sends `request` to a server on this machine over TLS, and reads so much of the answer.
pub(super) fn ask_locally(
    tcp: &mut TcpStream,
    request: &[u8],
    answer: &mut [u8],
) -> io::Result<()> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = Stream::new(&mut tls, tcp);
    stream.write_all(request)?;
    stream.read_exact(answer)
}

/// Takes every certificate: ours is for a name that is not `localhost`, and
/// whether this machine is healthy is no secret.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-made pair, as PEM.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_new_pair_is_taken_and_a_bad_one_is_not() {
        let names = Arc::new(OwnNames::of_machine());
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
        };
        assert!(matches!(
            Certificate::load(&files, &names),
            Err(TlsError::File { .. })
        ));
        let (cert, key) = pair();
        std::fs::write(&files.cert, &cert).unwrap();
        std::fs::write(&files.key, &key).unwrap();
        let certificate = Certificate::load(&files, &names).unwrap();
        let in_use = || certificate.current.read().unwrap().cert.clone();
        let (first, seen) = (in_use(), certificate.stamp());
        assert_eq!(certificate.look(seen), seen);

        // Half of a renewal, and rubbish.
        let (new_cert, new_key) = pair();
        std::fs::write(&files.cert, format!("{new_cert}\n")).unwrap();
        let half = certificate.look(seen);
        assert_ne!(half, seen);
        std::fs::write(&files.key, "rubbish").unwrap();
        let rubbish = certificate.look(half);
        assert_eq!(in_use(), first);

        std::fs::write(&files.key, new_key).unwrap();
        certificate.look(rubbish);
        assert_ne!(in_use(), first);
    }
}
