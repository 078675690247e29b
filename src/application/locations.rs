//! Keeps the files with locations up to date.

use std::sync::Arc;
use std::time::Duration;

use crate::config::LocationsConfig;
use crate::locations::{Locations, LocationsError};

/// How often is looked whether the files changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The locations in those files, followed from now on.
pub(super) fn start(config: &LocationsConfig) -> Result<Arc<Locations>, LocationsError> {
    let locations = Arc::new(Locations::open(config)?);
    if locations.precision().is_some() {
        actix_web::rt::spawn(watch(locations.clone()));
    }
    Ok(locations)
}

async fn watch(locations: Arc<Locations>) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let locations = locations.clone();
        let looked = tokio::task::spawn_blocking(move || locations.look()).await;
        if let Err(error) = looked {
            log::error!("a bug: the look for new locations failed: {error}");
        }
    }
}
