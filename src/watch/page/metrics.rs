//! The snapshot as Prometheus and `OpenMetrics` read it. docs/METRICS.md says what each means; a test holds the
//! two together.
//!
//! Everything is made anew from one snapshot: nothing is counted here, so what is gone leaves no series behind.

mod families;

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::watch::snapshot::Snapshot;

/// A form metrics are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' own text, for whoever does not ask for anything else.
    Prometheus,
    /// `OpenMetrics`.
    OpenMetrics,
}

impl Format {
    /// The one an `Accept` asks for.
    pub(super) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All metrics of a snapshot.
pub(super) fn text(snapshot: &Snapshot, format: Format) -> String {
    let mut registry = Registry::with_prefix("llama_orch");
    registry.register_collector(Box::new(Told(families::families(snapshot))));
    let mut text = String::new();
    let encoded = match format {
        Format::Prometheus => prometheus_text::encode(&mut text, &registry),
        Format::OpenMetrics => text::encode(&mut text, &registry),
    };
    // A `String` takes everything.
    encoded.map(|()| text).unwrap_or_default()
}

/// One metric with all its series.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    series: Vec<Series>,
}

/// What kind a metric is, which settles how its name ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Seconds,
    Bytes,
    Counter,
    BytesCounter,
    Info,
}

#[derive(Debug)]
struct Series {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Family {
    const fn new(kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind,
            series: Vec::new(),
        }
    }

    fn with(mut self, series: impl IntoIterator<Item = Series>) -> Self {
        self.series.extend(series);
        self
    }

    fn one(self, value: impl Into<f64>) -> Self {
        self.with([series([], value)])
    }

    fn maybe(self, value: Option<impl Into<f64>>) -> Self {
        self.with(value.map(|value| series([], value)))
    }
}

fn series<const N: usize>(labels: [(&'static str, &str); N], value: impl Into<f64>) -> Series {
    let labels = labels.map(|(name, value)| (name, value.to_owned()));
    Series {
        labels: labels.into(),
        value: value.into(),
    }
}

/// A count that a metric can tell; those beyond 2^53 lose their last digits, as all metrics do.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
const fn count(number: u64) -> f64 {
    number as f64
}

fn amount(number: usize) -> f64 {
    count(number as u64)
}

/// Seconds since 1970 of a moment in RFC 3339.
fn moment(at: &str) -> Option<f64> {
    let at: Timestamp = at.parse().ok()?;
    Some(at.as_duration().as_secs_f64())
}

#[derive(Debug)]
struct Told(Vec<Family>);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // A family without series is left out: a name alone says nothing.
        for family in self.0.iter().filter(|family| !family.series.is_empty()) {
            let (kind, unit) = match family.kind {
                Kind::Gauge => (MetricType::Gauge, None),
                Kind::Seconds => (MetricType::Gauge, Some(Unit::Seconds)),
                Kind::Bytes => (MetricType::Gauge, Some(Unit::Bytes)),
                Kind::Counter => (MetricType::Counter, None),
                Kind::BytesCounter => (MetricType::Counter, Some(Unit::Bytes)),
                Kind::Info => (MetricType::Info, None),
            };
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
            for series in &family.series {
                match family.kind {
                    Kind::Info => metric.encode_info(&series.labels)?,
                    Kind::Counter | Kind::BytesCounter => {
                        metric
                            .encode_family(&series.labels)?
                            .encode_counter::<NoLabelSet, f64, f64>(&series.value, None)?;
                    }
                    Kind::Gauge | Kind::Seconds | Kind::Bytes => metric
                        .encode_family(&series.labels)?
                        .encode_gauge(&series.value)?,
                }
            }
        }
        Ok(())
    }
}
