//! Where nodes are: country, city and provider of an address, by files of the operator's.
//!
//! They are looked up where an answer is made, so nothing of it is stored, and a newer file
//! counts for all nodes at once.

mod file;

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{LocationPrecision, LocationsConfig};
use file::DatabaseFile;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "GEOIP_DATABASE: {path} cannot be used: {cause}; it names files in the MaxMind DB format (.mmdb) that say the city, the country or the provider of addresses",
    path = path.display()
)]
pub struct LocationsError {
    path: PathBuf,
    cause: String,
}

/// Where an address is. What no file says is null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Location {
    /// Country of its address, ISO 3166-1; null if it is not known, or not shown to who asks.
    #[schema(example = "DE", min_length = 2, max_length = 2)]
    pub country: Option<String>,
    /// City of its address, in English; null as `country`, and unless `LOCATION_PRECISION` is `city`.
    #[schema(example = "Falkenstein")]
    pub city: Option<String>,
    /// Who provides its network; null as `country`.
    #[schema(example = "Hetzner Online GmbH")]
    pub provider: Option<String>,
}

impl Location {
    /// What is not known, another one may know.
    fn or(self, other: Self) -> Self {
        Self {
            country: self.country.or(other.country),
            city: self.city.or(other.city),
            provider: self.provider.or(other.provider),
        }
    }

    fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

/// The files, each read again when it changes.
#[derive(Debug)]
pub struct Locations {
    files: Vec<DatabaseFile>,
    precision: LocationPrecision,
}

impl Locations {
    /// Reads the files.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn open(config: &LocationsConfig) -> Result<Self, LocationsError> {
        let files = config.databases.iter().map(|path| DatabaseFile::open(path));
        Ok(Self {
            files: files.collect::<Result<_, _>>()?,
            precision: config.precision,
        })
    }

    /// How exact they are; none without a file.
    pub fn precision(&self) -> Option<LocationPrecision> {
        (!self.files.is_empty()).then_some(self.precision)
    }

    /// Where an address is; of several files the first that knows counts.
    pub fn of(&self, address: &str) -> Location {
        let Ok(address) = address.parse::<IpAddr>() else {
            return Location::default();
        };
        let files = self
            .files
            .iter()
            .map(|file| file.of(address.to_canonical()));
        let found = files.reduce(Location::or).unwrap_or_default();
        match self.precision {
            LocationPrecision::City => found,
            LocationPrecision::Country => Location {
                city: None,
                ..found
            },
        }
    }

    /// Looks whether files changed, and reads those that did. One that cannot be used is
    /// logged once, and what was read before stays.
    pub fn look(&self) {
        self.files.iter().for_each(DatabaseFile::look);
    }
}
