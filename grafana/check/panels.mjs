// What a panel shows: the answers of its queries, transformed and formatted by Grafana's own code, as plain values.
import { data, firstValueFrom, theme } from './packages.mjs';
import { query } from './sources.mjs';

const { FieldType, formattedValueToString } = data;

/**
 * What it shows.
 * - stat, bar gauge: a list of `[name, text]`
 * - time series: `{ name: [sum of its values, its highest value as text] }`
 * - table: `{ columns, count, rows }`, of which the first eight, all as text
 * - logs: `{ count, first }`
 */
export async function show(panel, context) {
  const { range } = context;
  const raw = { from: data.dateTime(range.from), to: data.dateTime(range.to) };
  const { intervalMs } = data.rangeUtil.calculateInterval({ ...raw, raw }, panel.maxDataPoints ?? panel.gridPos.w * 60, panel.interval);
  const answers = await Promise.all(panel.targets.map((target) => query(target, { ...context, intervalMs })));
  const transformed = await firstValueFrom(data.transformDataFrame(panel.transformations ?? [], answers.flat()));
  const frames = overridden(panel, transformed);
  unmatched(panel, frames);
  const shown = { stat: values, bargauge: values, timeseries: lines, table: rows, logs: records }[panel.type](panel, frames);
  return JSON.parse(JSON.stringify(shown), (_, value) => (typeof value === 'string' ? relative(value, range.from) : value));
}

function overridden(panel, frames) {
  // Grafana's table panel does this too; names of columns are lost without it.
  if (panel.type === 'table') data.cacheFieldDisplayNames(frames);
  return data.applyFieldOverrides({
    data: frames,
    fieldConfig: panel.fieldConfig,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
    fieldConfigRegistry: data.standardFieldConfigEditorRegistry,
  });
}

/** An override, or a column to sort by, that is about nothing is a slip; where there is no data, nobody can tell. */
function unmatched(panel, frames) {
  if (!frames.length) return;
  const names = frames.flatMap((frame) => frame.fields.map((field) => data.getFieldDisplayName(field, frame, frames)));
  const colours = panel.type === 'timeseries';
  for (const { matcher } of panel.fieldConfig.overrides) {
    if (!colours && !names.includes(matcher.options))
      throw new Error(`an override is for ${matcher.options}, and there are ${names.join(', ')}`);
  }
  for (const { displayName } of panel.options.sortBy ?? []) {
    if (!names.includes(displayName)) throw new Error(`sorted by ${displayName}, and there are ${names.join(', ')}`);
  }
}

function values(panel, frames) {
  const all = data.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: frames,
    timeZone: 'utc',
  });
  return all.map(({ display }) => [frames.length ? (display.title ?? '') : '', formattedValueToString(display)]);
}

const numeric = (frame) => frame.fields.filter((field) => field.type === FieldType.number);

function lines(panel, frames) {
  const named = frames.flatMap((frame) =>
    numeric(frame).map((field) => {
      const present = field.values.filter((value) => value !== null && !Number.isNaN(value));
      const sum = present.reduce((sum, value) => sum + value, 0);
      return [
        data.getFieldDisplayName(field, frame, frames),
        [Number(sum.toPrecision(6)), formattedValueToString(field.display(Math.max(...present)))],
      ];
    }),
  );
  return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function rows(panel, frames) {
  if (frames.length > 1) throw new Error(`a table shows one frame, and there are ${frames.length}`);
  if (!frames.length) return { columns: [], count: 0, rows: [] };
  const [frame] = frames;
  const names = frame.fields.map((field) => data.getFieldDisplayName(field, frame, frames));
  const order = [...Array(frame.length).keys()];
  const [sort] = panel.options.sortBy ?? [];
  const by = frame.fields[names.indexOf(sort?.displayName)]?.values;
  const texts = (row) => frame.fields.map((field) => formattedValueToString(field.display(field.values[row])));
  // What is equal comes in no certain order.
  const compare = (a, b) =>
    by && by[a] !== by[b] ? (by[a] < by[b] ? -1 : 1) * (sort.desc ? -1 : 1) : texts(a).join('\0') < texts(b).join('\0') ? -1 : 1;
  return { columns: names, count: frame.length, rows: order.sort(compare).slice(0, 8).map(texts) };
}

function records(_, frames) {
  const line = frames[0]?.fields.find(({ name }) => name === 'Line').values ?? [];
  return { count: line.length, first: line[0] ?? '' };
}

/** Times are as long after the start of the range as they are. */
function relative(text, from) {
  return text.replace(/^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)$/, (_, day, time) => `+${(Date.parse(`${day}T${time}Z`) - from) / 1000} s`);
}
