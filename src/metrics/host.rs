//! Metrics of the machine, read at each scrape.

use std::sync::Mutex;

use prometheus::{CounterVec, Gauge, IntCounter, IntGauge};
use sysinfo::{MemoryRefreshKind, Networks, System};

use super::{Label, Maker};

/// What processors do, as Linux tells it apart.
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];

/// The interface by which programs of one machine talk to each other.
const LOOPBACK: &str = "lo";

/// Processors, load, memory and network of the machine.
#[derive(Debug)]
pub(super) struct HostMetrics {
    sources: Mutex<Sources>,
    pub(super) memory: IntGauge,
    pub(super) memory_available: IntGauge,
    pub(super) swap: IntGauge,
    pub(super) swap_free: IntGauge,
    cpus: IntGauge,
    cpu_seconds: CounterVec,
    loads: [Gauge; 3],
    pub(super) network_received: IntCounter,
    pub(super) network_sent: IntCounter,
}

/// From where it is known; one look at a time.
#[derive(Debug, Default)]
struct Sources {
    system: Option<System>,
    networks: Option<Networks>,
}

impl HostMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let load = |minutes: &str| {
            make.float(
                &format!("host_load{minutes}"),
                &format!("Load average of the machine over {minutes} min."),
            )
        };
        Ok(Self {
            sources: Mutex::new(Sources {
                system: System::new().ok(),
                networks: Networks::new().ok(),
            }),
            memory: make.gauge("host_memory_bytes", "Memory of the machine.")?,
            memory_available: make.gauge(
                "host_memory_available_bytes",
                "Memory of the machine that programs could still take.",
            )?,
            swap: make.gauge("host_swap_bytes", "Swap space of the machine.")?,
            swap_free: make.gauge(
                "host_swap_free_bytes",
                "Swap space of the machine that is free.",
            )?,
            cpus: make.gauge(
                "host_cpus",
                "Processors of the machine that the server may use.",
            )?,
            cpu_seconds: make.float_counters(
                "host_cpu_seconds_total",
                "Time of all processors of the machine, by what they did; 0 on other systems than Linux.",
                [Label::closed("mode", MODES)],
            )?,
            loads: [load("1")?, load("5")?, load("15")?],
            network_received: make.counter(
                "host_network_received_bytes_total",
                "Bytes that the machine received over all interfaces but the loopback.",
            )?,
            network_sent: make.counter(
                "host_network_sent_bytes_total",
                "Bytes that the machine sent over all interfaces but the loopback.",
            )?,
        })
    }

    /// The load average over 1, 5 or 15 minutes, by its place.
    pub(super) fn load(&self, place: usize) -> f64 {
        self.loads.get(place).map_or(f64::NAN, Gauge::get)
    }

    /// Looks anew. Systems that the libraries do not know show zeros.
    pub(super) fn refresh(&self) {
        let Ok(mut sources) = self.sources.lock() else {
            return;
        };
        if let Some(system) = &mut sources.system {
            system.refresh_memory_specifics(MemoryRefreshKind::everything());
            set(&self.memory, system.total_memory());
            set(&self.memory_available, system.available_memory());
            set(&self.swap, system.total_swap());
            set(&self.swap_free, system.free_swap());
        }
        if let Some(networks) = &mut sources.networks {
            networks.refresh(true);
            let outer = || networks.iter().filter(|(name, _)| *name != LOOPBACK);
            let received = outer().map(|(_, one)| one.total_received()).sum();
            let sent = outer().map(|(_, one)| one.total_transmitted()).sum();
            raise(&self.network_received, received);
            raise(&self.network_sent, sent);
        }
        self.refresh_cpu();
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        set(&self.cpus, u64::try_from(cpus).unwrap_or(1));
        if let Ok(load) = System::load_average() {
            let [one, five, fifteen] = &self.loads;
            one.set(load.one);
            five.set(load.five);
            fifteen.set(load.fifteen);
        }
    }

    #[cfg(target_os = "linux")]
    fn refresh_cpu(&self) {
        use procfs::CurrentSI;
        let Ok(stats) = procfs::KernelStats::current() else {
            return;
        };
        let of = |mode| {
            let cpu = &stats.total;
            match mode {
                "user" => Some(cpu.user_ms()),
                "nice" => Some(cpu.nice_ms()),
                "system" => Some(cpu.system_ms()),
                "idle" => Some(cpu.idle_ms()),
                "iowait" => cpu.iowait_ms(),
                "irq" => cpu.irq_ms(),
                "softirq" => cpu.softirq_ms(),
                _ => cpu.steal_ms(),
            }
        };
        for mode in MODES {
            let counter = self.cpu_seconds.with_label_values(&[mode]);
            let spent = std::time::Duration::from_millis(of(mode).unwrap_or(0)).as_secs_f64();
            // A counter never falls, though Linux corrects some of these now and then.
            counter.inc_by((spent - counter.get()).max(0.0));
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn refresh_cpu(&self) {}
}

fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// An interface that is gone takes its bytes along; the counter stays where it was.
fn raise(counter: &IntCounter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}
