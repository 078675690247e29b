//! Settings of locations: where nodes are, by their addresses.

use std::path::PathBuf;
use std::str::FromStr;

use super::Reader;

/// Settings of locations.
#[derive(Debug, Clone, Default)]
pub struct LocationsConfig {
    /// `GEOIP_DATABASE`: files in the `MaxMind` DB format.
    pub databases: Vec<PathBuf>,
    /// `LOCATION_PRECISION`.
    pub precision: LocationPrecision,
}

/// How exact locations are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LocationPrecision {
    /// Country and provider.
    #[default]
    Country,
    /// Also the city.
    City,
}

impl LocationPrecision {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::City => "city",
        }
    }
}

impl FromStr for LocationPrecision {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Country, Self::City];
        let found = all.into_iter().find(|one| one.name() == text);
        found.ok_or(())
    }
}

/// A path between commas.
struct File(PathBuf);

impl FromStr for File {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(PathBuf::from(text)))
    }
}

impl LocationsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let files: Vec<File> = reader.list("GEOIP_DATABASE");
        Self {
            databases: files.into_iter().map(|File(path)| path).collect(),
            precision: reader.parsed("LOCATION_PRECISION", LocationPrecision::default()),
        }
    }
}
