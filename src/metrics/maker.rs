//! Makes metrics, registers them, and keeps what each family is.

use std::cell::RefCell;

use prometheus::core::{Collector, Metric, MetricVec, MetricVecBuilder};
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

use super::{Family, Kind, Label, PREFIX};

/// Makes metrics and registers them. A name is registered once, by the constructors of this room,
/// so failing is a mistake that the first test shows.
#[derive(Debug, Default)]
pub(super) struct Maker {
    registry: Registry,
    families: RefCell<Vec<Family>>,
}

impl Maker {
    pub(super) fn registry(&self) -> Registry {
        self.registry.clone()
    }

    pub(super) fn families(&self) -> Vec<Family> {
        self.families.borrow().clone()
    }

    pub(super) fn into_families(self) -> Vec<Family> {
        self.families.into_inner()
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let opts = self.describe(Kind::Counter, name, help, &[]);
        self.register(IntCounter::with_opts(opts))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let opts = self.describe(Kind::Gauge, name, help, &[]);
        self.register(IntGauge::with_opts(opts))
    }

    pub(super) fn float(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        let opts = self.describe(Kind::Gauge, name, help, &[]);
        self.register(Gauge::with_opts(opts))
    }

    pub(super) fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> prometheus::Result<Histogram> {
        let opts = self.describe(Kind::Histogram, name, help, &[]);
        let opts = HistogramOpts::from(opts).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(opts))
    }

    pub(super) fn counters<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label; N],
    ) -> prometheus::Result<IntCounterVec> {
        let opts = self.describe(Kind::Counter, name, help, &labels);
        self.register_all(
            IntCounterVec::new(opts, &labels.each_ref().map(|label| label.name)),
            &labels,
        )
    }

    pub(super) fn float_counters<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label; N],
    ) -> prometheus::Result<CounterVec> {
        let opts = self.describe(Kind::Counter, name, help, &labels);
        self.register_all(
            CounterVec::new(opts, &labels.each_ref().map(|label| label.name)),
            &labels,
        )
    }

    pub(super) fn gauges<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label; N],
    ) -> prometheus::Result<IntGaugeVec> {
        let opts = self.describe(Kind::Gauge, name, help, &labels);
        self.register_all(
            IntGaugeVec::new(opts, &labels.each_ref().map(|label| label.name)),
            &labels,
        )
    }

    pub(super) fn floats<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label; N],
    ) -> prometheus::Result<GaugeVec> {
        let opts = self.describe(Kind::Gauge, name, help, &labels);
        self.register_all(
            GaugeVec::new(opts, &labels.each_ref().map(|label| label.name)),
            &labels,
        )
    }

    pub(super) fn histograms<const N: usize>(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: [Label; N],
    ) -> prometheus::Result<HistogramVec> {
        let opts = self.describe(Kind::Histogram, name, help, &labels);
        let opts = HistogramOpts::from(opts).buckets(buckets.to_vec());
        self.register_all(
            HistogramVec::new(opts, &labels.each_ref().map(|label| label.name)),
            &labels,
        )
    }

    fn describe(&self, kind: Kind, name: &str, help: &str, labels: &[Label]) -> Opts {
        let name = format!("{PREFIX}{name}");
        self.families.borrow_mut().push(Family {
            name: name.clone(),
            kind,
            help: help.to_owned(),
            labels: labels.to_vec(),
            path: "/metrics",
        });
        Opts::new(name, help)
    }

    fn register<C: Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let collector = made?;
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    /// Registers series by labels; those with values known from the start are there at once.
    fn register_all<B: MetricVecBuilder + 'static>(
        &self,
        made: prometheus::Result<MetricVec<B>>,
        labels: &[Label],
    ) -> prometheus::Result<MetricVec<B>>
    where
        B::M: Metric,
    {
        let family = self.register(made)?;
        let mut series: Vec<Vec<&str>> = vec![Vec::new()];
        for label in labels {
            let all = series.iter().flat_map(|known| {
                let values = label.values.iter();
                values.map(move |value| [known.as_slice(), &[value.as_ref()]].concat())
            });
            series = all.collect();
        }
        for values in series {
            family.get_metric_with_label_values(&values)?;
        }
        Ok(family)
    }
}
