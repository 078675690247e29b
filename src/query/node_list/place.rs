//! Where listed nodes are: the filters, and what is shown.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::ListedNode;
use crate::config::LocationPrecision;
use crate::locations::Locations;
use crate::query::{QueryError, params};

/// Addresses that are looked up for one answer, some 10 MB of them.
const ADDRESSES_MAX: i64 = 100_000;

/// Where the nodes are that are asked for.
#[derive(Debug, Clone)]
pub(super) struct Place {
    country: Option<String>,
    city: Option<String>,
    provider: Option<String>,
}

#[derive(QueryableByName)]
struct Address {
    #[diesel(sql_type = Text)]
    ip_addr: String,
}

impl Place {
    /// None if nodes everywhere are asked for.
    pub(super) fn parse(
        country: Option<&str>,
        city: Option<&str>,
        provider: Option<&str>,
    ) -> Result<Option<Self>, QueryError> {
        let place = Self {
            country: params::text("country", country)?,
            city: params::text("city", city)?,
            provider: params::text("provider", provider)?,
        };
        Ok(place.name().map(|_| place))
    }

    /// The first parameter that was given.
    pub(super) fn name(&self) -> Option<&'static str> {
        let all = [
            ("country", &self.country),
            ("city", &self.city),
            ("provider", &self.provider),
        ];
        let given = all.into_iter().find(|(_, value)| value.is_some());
        given.map(|(name, _)| name)
    }

    /// The addresses there of all nodes of a chain, or of all.
    pub(super) fn addresses(
        &self,
        conn: &mut PgConnection,
        chain: Option<&str>,
        locations: Option<&Locations>,
    ) -> Result<Vec<String>, QueryError> {
        let name = self.name().unwrap_or_default();
        let refuse = |why| Err(QueryError::invalid(name, why));
        let Some(locations) = locations else {
            return refuse(
                "is not shown to you: it needs a token, or EXPOSE_LOCATIONS=true in the settings of the server",
            );
        };
        match locations.precision() {
            None => return refuse("is not known: GEOIP_DATABASE of the server is not set"),
            Some(LocationPrecision::Country) if self.city.is_some() => {
                let why = "is not shown: LOCATION_PRECISION of the server is country";
                return Err(QueryError::invalid("city", why));
            }
            Some(_) => {}
        }
        let all: Vec<Address> = diesel::sql_query(include_str!("addresses.sql"))
            .bind::<Nullable<Text>, _>(chain)
            .bind::<BigInt, _>(ADDRESSES_MAX + 1)
            .load(conn)?;
        if i64::try_from(all.len()).is_ok_and(|count| count > ADDRESSES_MAX) {
            return refuse(
                "looks at 100,000 addresses at most, and there are more: ask for one `chain`",
            );
        }
        let all = all.into_iter().map(|address| address.ip_addr);
        Ok(all.filter(|address| self.has(address, locations)).collect())
    }

    fn has(&self, address: &str, locations: &Locations) -> bool {
        let found = locations.of(address);
        let fits = |asked: &Option<String>, found| asked.is_none() || *asked == found;
        fits(&self.country, found.country)
            && fits(&self.city, found.city)
            && fits(&self.provider, found.provider)
    }
}

/// Says of each node where it is.
pub(super) fn locate(nodes: &mut [ListedNode], locations: &Locations) {
    for listed in nodes {
        if let Some(address) = &listed.node.ip_addr {
            listed.location = locations.of(address);
        }
    }
}
