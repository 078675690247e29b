//! Metrics of the machine, read at each scrape.

use std::sync::Mutex;

use prometheus::{Gauge, IntGauge};
use sysinfo::{MemoryRefreshKind, System};

use super::Maker;

/// Memory and load of the machine.
#[derive(Debug)]
pub(super) struct HostMetrics {
    system: Option<Mutex<System>>,
    memory: IntGauge,
    memory_available: IntGauge,
    cpus: IntGauge,
    load: Gauge,
}

impl HostMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            system: System::new().ok().map(Mutex::new),
            memory: make.gauge("host_memory_bytes", "Memory of the machine.")?,
            memory_available: make.gauge(
                "host_memory_available_bytes",
                "Memory of the machine that programs could still take.",
            )?,
            cpus: make.gauge(
                "host_cpus",
                "Processors of the machine that the server may use.",
            )?,
            load: make.float("host_load1", "Load average of the machine over one minute.")?,
        })
    }

    pub(super) fn refresh(&self) {
        // Systems that sysinfo does not know show zeros.
        if let Some(Ok(mut system)) = self.system.as_ref().map(Mutex::lock) {
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            set(&self.memory, system.total_memory());
            set(&self.memory_available, system.available_memory());
        }
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        set(&self.cpus, u64::try_from(cpus).unwrap_or(1));
        if let Ok(load) = System::load_average() {
            self.load.set(load.one);
        }
    }
}

fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
