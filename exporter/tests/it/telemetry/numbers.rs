//! Metrics as a map, whichever way they came.

use std::collections::BTreeMap;

use inotrail::metrics::{Family, Kind, Label, families};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint};

/// Name and labels as OpenMetrics has them, sorted -> the number.
pub(crate) type Numbers = BTreeMap<(String, Vec<String>), f64>;

/// Of `/metrics`.
pub(crate) fn of_text(text: &str) -> Numbers {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.strip_suffix('}').and_then(|it| it.split_once('{')).unwrap_or((series, ""));
            let mut labels: Vec<_> = labels.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect();
            labels.sort();
            ((name.to_owned(), labels), value.parse().unwrap())
        })
        .collect()
}

/// Of a request, whose metrics are what the families say.
pub(crate) fn of_request(request: &ExportMetricsServiceRequest) -> Numbers {
    let mut numbers = Numbers::new();
    let metrics = request.resource_metrics.iter().flat_map(|it| &it.scope_metrics).flat_map(|it| &it.metrics);
    for metric in metrics {
        let family = families::all().find(|family| family.otlp == metric.name).expect(&metric.name);
        assert_eq!((&*metric.unit, &*metric.description), (family.unit, family.help), "{}", metric.name);
        points(metric, family, &mut numbers);
    }
    numbers
}

fn points(metric: &Metric, family: &Family, numbers: &mut Numbers) {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let (suffix, points) = match (metric.data.as_ref().unwrap(), family.kind) {
        (Data::Sum(sum), Kind::Counter) if sum.is_monotonic => {
            assert_eq!(sum.aggregation_temporality, cumulative);
            ("_total", &sum.data_points)
        }
        (Data::Sum(sum), Kind::UpDown) if !sum.is_monotonic => ("", &sum.data_points),
        (Data::Gauge(gauge), Kind::Gauge) => ("", &gauge.data_points),
        (Data::Gauge(gauge), Kind::Info) => ("_info", &gauge.data_points),
        (Data::Histogram(histogram), Kind::Durations) => {
            assert_eq!(histogram.aggregation_temporality, cumulative);
            return histogram.data_points.iter().for_each(|point| buckets(family, point, numbers));
        }
        (data, kind) => panic!("{}: {kind:?} is {data:?}", metric.name),
    };
    for point in points {
        let key = (format!("{}{suffix}", family.name), labels(family, &point.attributes));
        assert_eq!(numbers.insert(key, number(point)), None, "{point:?} twice");
    }
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value.unwrap() {
        Number::AsInt(value) => value as f64,
        Number::AsDouble(value) => value,
    }
}

fn buckets(family: &Family, point: &HistogramDataPoint, numbers: &mut Numbers) {
    let labels = labels(family, &point.attributes);
    let mut add = |suffix: &str, more: Option<String>, value: f64| {
        let mut labels: Vec<_> = labels.iter().cloned().chain(more).collect();
        labels.sort();
        numbers.insert((format!("{}_{suffix}", family.name), labels), value);
    };
    add("count", None, point.count as f64);
    add("sum", None, point.sum.unwrap());
    let bounds = point.explicit_bounds.iter().map(|bound| format!("{bound:?}")).chain(["+Inf".to_owned()]);
    let mut count = 0;
    for (bound, inside) in bounds.zip(&point.bucket_counts) {
        count += inside;
        add("bucket", Some(format!("le={bound:?}")), count as f64);
    }
}

fn labels(family: &Family, attributes: &[KeyValue]) -> Vec<String> {
    let label = |attribute: &KeyValue| {
        let Label(name, _) = family.labels.iter().find(|label| label.1 == attribute.key).expect(&attribute.key);
        match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(value)) => format!("{name}={value:?}"),
            other => panic!("{other:?}"),
        }
    };
    let mut labels: Vec<_> = attributes.iter().map(label).collect();
    labels.sort();
    labels
}
