//! One file in the `MaxMind` DB format.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions};

use super::{Location, LocationsError};

type Bytes = Vec<u8>;

/// Largest file; those of whole cities have 150 MB. It is in memory, while it is read again twice.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A file that says nothing of so many networks is about something else.
const TRIED_MAX: usize = 10_000;

/// Where files have what is looked for: those of `MaxMind` and DB-IP, those of `IPinfo`.
const COUNTRY: [&[&str]; 3] = [&["country", "iso_code"], &["country_code"], &["country"]];
const CITY: [&[&str]; 2] = [&["city", "names", "en"], &["city"]];
const PROVIDER: [&[&str]; 3] = [&["autonomous_system_organization"], &["as_name"], &["isp"]];

/// By what a change is noticed.
type Stamp = Option<(SystemTime, u64)>;

/// A file, as it was read last.
pub(super) struct DatabaseFile {
    path: PathBuf,
    current: RwLock<Arc<Reader<Bytes>>>,
    seen: Mutex<Stamp>,
}

impl DatabaseFile {
    pub(super) fn open(path: &Path) -> Result<Self, LocationsError> {
        // Taken before reading: a change meanwhile is seen at the next look.
        let seen = stamp(path);
        Ok(Self {
            path: path.to_owned(),
            current: RwLock::new(Arc::new(read(path)?)),
            seen: Mutex::new(seen),
        })
    }

    pub(super) fn of(&self, address: IpAddr) -> Location {
        let reader = self.current.read().unwrap_or_else(PoisonError::into_inner);
        // A file of IPv4 alone refuses other addresses.
        reader
            .lookup(address)
            .as_ref()
            .map_or_else(|_refused| Location::default(), location)
    }

    pub(super) fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.path);
        if *seen == stamp {
            return;
        }
        *seen = stamp;
        match read(&self.path) {
            Ok(reader) => {
                log::info!(
                    "{} was read again: {}",
                    self.path.display(),
                    reader.metadata().database_type
                );
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(reader);
            }
            Err(error) => log::error!("{error}; what was read before stays in use"),
        }
    }
}

impl fmt::Debug for DatabaseFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("DatabaseFile");
        shown.field("path", &self.path).finish_non_exhaustive()
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<Reader<Bytes>, LocationsError> {
    let refuse = |cause: String| LocationsError {
        path: path.to_owned(),
        cause,
    };
    let metadata = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(refuse("it has more than 1 GiB".to_owned()));
    }
    let reader = std::fs::read(path)
        .map_err(MaxMindDbError::from)
        .and_then(Reader::from_source)
        .map_err(|error| refuse(error.to_string()))?;
    match says_something(&reader) {
        Ok(true) => Ok(reader),
        Ok(false) => {
            let kind = &reader.metadata().database_type;
            Err(refuse(format!("it is '{kind}', which says none of these")))
        }
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn says_something(reader: &Reader<Bytes>) -> Result<bool, MaxMindDbError> {
    for network in reader.networks(WithinOptions::default())?.take(TRIED_MAX) {
        if location(&network?).is_known() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn location(found: &LookupResult<'_, Bytes>) -> Location {
    let is_code =
        |text: &String| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    Location {
        country: first(found, &COUNTRY).filter(is_code),
        city: first(found, &CITY),
        provider: first(found, &PROVIDER),
    }
}

/// The first of these fields that is a text.
fn first(found: &LookupResult<'_, Bytes>, paths: &[&[&str]]) -> Option<String> {
    paths.iter().find_map(|path| {
        let path: Vec<_> = path.iter().map(|name| PathElement::Key(name)).collect();
        // One that is something else there is as good as none.
        let text: Option<String> = found.decode_path(&path).unwrap_or_default();
        text.filter(|text| !text.is_empty())
    })
}
