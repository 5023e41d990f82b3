// Queries of Loki and Prometheus, and their answers as the data frames that Grafana makes of them.
import { data } from './packages.mjs';
import { fill, fillTimes } from './variables.mjs';

const { FieldType, createDataFrame, renderLegendFormat } = data;

async function get(url, parameters) {
  const response = await fetch(`${url}?${new URLSearchParams(parameters)}`, {
    headers: { 'X-Loki-Response-Encoding-Flags': 'categorize-labels' },
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${text.trim()} of ${parameters.query}`);
  return JSON.parse(text).data;
}

/** Frames of one target. `range`: `{ from, to }` in milliseconds; `values`: see `fill`. */
export async function query(target, { servers, range, intervalMs, values }) {
  const type = target.datasource.type;
  const instant = type === 'loki' ? target.queryType === 'instant' : target.instant;
  const expr = fillTimes(fill(target.expr, values, type), { rangeMs: range.to - range.from, intervalMs, instant });
  const seconds = (ms) => String(ms / 1000);
  const time = instant ? { time: seconds(range.to) } : { start: seconds(range.from), end: seconds(range.to), step: seconds(intervalMs) };
  const root = type === 'loki' ? `${servers.loki}/loki` : servers.prometheus;
  const more = type === 'loki' ? { limit: String(target.maxLines ?? 1000), direction: 'backward' } : {};
  const { resultType, result } = await get(`${root}/api/v1/${instant ? 'query' : 'query_range'}`, { query: expr, ...time, ...more });
  if (resultType === 'streams') return result.length ? [logs(target, result)] : [];
  if (resultType === 'matrix') return result.map((series) => chart(target, series, intervalMs));
  if (!result.length) return [];
  if (type === 'loki' || target.format === 'table') return [table(target, result)];
  return result.map((series) => chart(target, { metric: series.metric, values: [series.value] }, intervalMs));
}

/** What a variable's query finds. */
export async function labelValues(variable, { servers, range, values }) {
  const times = { start: String(range.from / 1000), end: String(range.to / 1000) };
  if (variable.datasource.type === 'loki') {
    const { label, stream } = variable.query;
    return (
      (await get(`${servers.loki}/loki/api/v1/label/${label}/values`, {
        ...times,
        ...(stream ? { query: fill(stream, values, 'loki') } : {}),
      })) ?? []
    );
  }
  const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(variable.query.query);
  return get(`${servers.prometheus}/api/v1/label/${label}/values`, { ...times, 'match[]': metric });
}

function chart(target, { metric, values }, interval) {
  const all = Object.entries(metric).map(([name, value]) => `${name}="${value}"`);
  const name = target.legendFormat ? renderLegendFormat(target.legendFormat, metric) : `{${all.join(', ')}}`;
  const fields = [
    // By the interval a chart knows where points are missing, and how wide a bar is.
    { name: 'Time', type: FieldType.time, config: { interval }, values: values.map(([time]) => time * 1000) },
    {
      name: 'Value',
      type: FieldType.number,
      labels: metric,
      config: { displayNameFromDS: name },
      values: values.map(([, value]) => Number(value)),
    },
  ];
  return createDataFrame({ refId: target.refId, fields });
}

// A time, labels in their order, and a value that is called after the query.
function table(target, result) {
  const names = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const fields = [
    { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
    ...names.map((name) => ({ name, type: FieldType.string, values: result.map(({ metric }) => metric[name] ?? '') })),
    { name: `Value #${target.refId}`, type: FieldType.number, values: result.map(({ value }) => Number(value[1])) },
  ];
  return createDataFrame({ refId: target.refId, fields });
}

function logs(target, result) {
  const rows = result.flatMap(({ stream, values }) =>
    values.map(([time, line, more]) => ({ time, line, labels: { ...stream, ...more?.structuredMetadata } })),
  );
  rows.sort((a, b) => (a.time < b.time ? 1 : -1));
  const fields = [
    { name: 'labels', type: FieldType.other, values: rows.map(({ labels }) => labels) },
    { name: 'Time', type: FieldType.time, values: rows.map(({ time }) => Number(BigInt(time) / 1000000n)) },
    { name: 'Line', type: FieldType.string, values: rows.map(({ line }) => line) },
  ];
  return createDataFrame({ refId: target.refId, meta: { preferredVisualisationType: 'logs' }, fields });
}
