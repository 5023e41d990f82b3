//! Every metric as an instrument that reads it.

use std::sync::Arc;

use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::metrics::{BOUNDS, Family, Kind, Source, Value, families};
use crate::otlp::attribute::SCHEMA_URL;
use crate::otlp::{SCOPE_NAME, SCOPE_VERSION};

/// Makes them all. The provider keeps `source`.
pub(super) fn register(provider: &SdkMeterProvider, source: &Arc<Source>) {
    let scope = InstrumentationScope::builder(SCOPE_NAME).with_version(SCOPE_VERSION).with_schema_url(SCHEMA_URL);
    let meter = provider.meter_with_scope(scope.build());
    for family in families::all() {
        instrument(&meter, family, Arc::clone(source));
    }
}

fn instrument(meter: &Meter, family: &'static Family, source: Arc<Source>) {
    let Family { otlp, unit, help, kind, .. } = *family;
    // Seconds have fractions; all else is whole.
    match (kind, unit) {
        (Kind::Durations, _) => durations(meter, family, &source),
        (Kind::Counter, "s") => {
            let builder = meter.f64_observable_counter(otlp).with_unit(unit).with_description(help);
            builder.with_callback(move |to| observe(family, &source, to, real)).build();
        }
        (Kind::Counter, _) => {
            let builder = meter.u64_observable_counter(otlp).with_unit(unit).with_description(help);
            builder.with_callback(move |to| observe(family, &source, to, whole)).build();
        }
        (Kind::UpDown, _) => {
            let builder = meter.i64_observable_up_down_counter(otlp).with_unit(unit).with_description(help);
            builder.with_callback(move |to| observe(family, &source, to, |value| whole(value) as i64)).build();
        }
        (Kind::Gauge | Kind::Info, _) => {
            let builder = meter.u64_observable_gauge(otlp).with_unit(unit).with_description(help);
            builder.with_callback(move |to| observe(family, &source, to, whole)).build();
        }
    }
}

/// The library's histograms have to be told: by whoever enters a request into the books, once for both.
fn durations(meter: &Meter, family: &'static Family, source: &Source) {
    let builder = meter.f64_histogram(family.otlp).with_unit(family.unit).with_description(family.help);
    let histogram = builder.with_boundaries(BOUNDS.to_vec()).build();
    source.metrics.heard.listen(Box::new(move |destination, why, seconds| {
        histogram.record(seconds, &attributes(family, &[destination, why]));
    }));
}

fn observe<T>(family: &Family, source: &Source, to: &dyn AsyncInstrument<T>, number: fn(Value) -> T) {
    source.read(family, &mut |values, value| to.observe(number(value), &attributes(family, values)));
}

fn attributes(family: &Family, values: &[&str]) -> Vec<KeyValue> {
    let all = family.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
    all.map(|(label, value)| KeyValue::new(label.1, (*value).to_owned())).collect()
}

fn whole(value: Value) -> u64 {
    match value {
        Value::Whole(value) => value,
        Value::Real(value) => value as u64,
    }
}

fn real(value: Value) -> f64 {
    match value {
        Value::Whole(value) => value as f64,
        Value::Real(value) => value,
    }
}
