//! Who vouches for the receivers of what goes outwards: `NOTIFY_CA_FILE`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject};
use webpki::anchor_from_trusted_cert;

use super::reader::Reader;

const FILE: &str = "NOTIFY_CA_FILE";

/// Certificates of authorities; none for those that browsers trust.
#[derive(Clone, Default)]
pub struct Authorities(Option<Arc<[CertificateDer<'static>]>>);

impl Authorities {
    /// The certificates, if they are given.
    pub fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.0.as_deref()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let Some(path) = reader.text(FILE) else {
            return Self::default();
        };
        match certificates(Path::new(&path)) {
            Ok(certificates) => Self(Some(certificates.into())),
            Err(problem) => {
                reader.fault(FILE, format!("{path}: {problem}"));
                Self::default()
            }
        }
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => formatter.write_str("those of Mozilla"),
            Some(certificates) => write!(formatter, "{} of a file", certificates.len()),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<CertificateDer<'static>> = read.map_err(|error| match error {
        Error::Io(error) => format!("cannot be read: {error}"),
        error => format!("is no PEM: {error}"),
    })?;
    if read.is_empty() {
        return Err("has no certificate: it must be PEM, with BEGIN CERTIFICATE".to_owned());
    }
    for (place, certificate) in read.iter().enumerate() {
        anchor_from_trusted_cert(certificate)
            .map_err(|error| format!("certificate {} is wrong: {error}", place + 1))?;
    }
    Ok(read)
}
