// The dashboards in ../dashboards: rules, and what each panel, variable and annotation shows of the workload that the servers hold, which
// expected.json says. With --write, says it anew: read the difference against e2e/tests/dashboards/workload.json before you keep it.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { alerts } from './alerts.mjs';
import { show } from './panels.mjs';
import { rules } from './rules.mjs';
import { labelValues, query } from './sources.mjs';

const here = (name) => new URL(name, import.meta.url);
export const read = (name) => JSON.parse(readFileSync(here(name), 'utf8'));
const to = Number(process.env.END) * 1000;
export const context = { servers: { loki: process.env.LOKI, prometheus: process.env.PROMETHEUS }, range: { from: to - 3600_000, to } };

/** All dashboards by their files' names. */
export function dashboards() {
  const names = readdirSync(here('../dashboards')).map((name) => name.replace('.json', ''));
  return new Map(names.sort().map((name) => [name, read(`../dashboards/${name}.json`)]));
}

/** Which filters are set, and on which dashboards that is looked at. */
const scenarios = {
  all: { set: {} },
  several: { set: { namespace: ['shop', 'billing'], container: ['app', 'api'] }, only: ['overview', 'files'] },
  path: { set: { path: '/etc/', process: 'python3' }, only: ['files'] },
  // What means something to regular expressions, to LogQL and to Grafana is but text.
  hostile: { set: { path: '/tmp/a.b(c)[d]{e}$f"g\\h|i*+?^\'' }, only: ['files', 'workload'] },
  hostileValues: {
    set: { namespace: ['a.b', 'bil|ling', 'x\\y', '$path', '(', '{}', 'shop'], workload: ['.*', 'web'] },
    only: ['overview', 'violations'],
  },
  nothing: { set: { namespace: ['none'], instance: ['none'] }, only: ['files', 'workload', 'health'] },
};

/** Variables as Grafana fills them: `set` ones, and the others as the dashboard starts. */
export function valuesOf(dashboard, set) {
  const values = dashboard.templating.list.map((variable) => {
    const many = Boolean(variable.multi || variable.includeAll);
    const value = set[variable.name] ?? variable.current.value;
    const isAll = [value].flat().includes('$__all');
    return [variable.name, { many, value, ...(isAll ? { all: variable.allValue } : {}) }];
  });
  return new Map(values);
}

/** What a panel shows, or what went wrong. */
export async function shown(dashboard, panel, set) {
  try {
    return await show(panel, { ...context, values: valuesOf(dashboard, set) });
  } catch (error) {
    return { error: String(error.message ?? error).slice(0, 300) };
  }
}

/** What its variables find (`$`), and its annotations (`@`). */
export async function rest(dashboard, set) {
  const values = valuesOf(dashboard, set);
  const found = {};
  for (const variable of dashboard.templating.list.filter(({ type }) => type === 'query')) {
    found[`$${variable.name}`] = await labelValues(variable, { ...context, values }).catch((error) => ({ error: error.message }));
  }
  for (const annotation of dashboard.annotations.list) {
    const frames = await query({ ...annotation, refId: 'Annotation', queryType: 'range' }, { ...context, values, intervalMs: 60_000 });
    found[`@${annotation.name}`] = frames.flatMap(({ fields }) => fields.find(({ name }) => name === 'Line').values);
  }
  return found;
}

/** What a dashboard shows with these filters: by panel, variable (`$`) and annotation (`@`). */
export async function whole(dashboard, set) {
  const found = await rest(dashboard, set);
  for (const panel of dashboard.panels) found[`${panel.id} ${panel.title}`] = await shown(dashboard, panel, set);
  return found;
}

/** Differences, as text. */
export function compare(at, found, expected) {
  const names = [...new Set([...Object.keys(found), ...Object.keys(expected ?? {})])];
  const differ = names.filter((name) => found[name]?.error || !isDeepStrictEqual(found[name], expected?.[name]));
  return differ.map((name) => `${at} "${name}"\n  shows    ${JSON.stringify(found[name])}\n  expected ${JSON.stringify(expected?.[name])}`);
}

export const uidsOf = (all) =>
  new Map(
    [...all.values()].map((it) => [
      it.uid,
      it.templating.list.map(({ name }) => name).filter((name) => name !== 'prometheus' && name !== 'instance'),
    ]),
  );

async function main() {
  const all = dashboards();
  const findings = [...all].flatMap(([name, dashboard]) => rules(name, dashboard, uidsOf(all)));
  const write = process.argv.includes('--write');
  const expected = write ? {} : read('expected.json');
  let panels = 0;
  for (const [scenario, { set, only }] of Object.entries(scenarios)) {
    for (const [name, dashboard] of all) {
      if (only && !only.includes(name)) continue;
      const found = await whole(dashboard, set);
      panels += dashboard.panels.length;
      if (write) (expected[scenario] ??= {})[name] = found;
      findings.push(...compare(`${scenario}: ${name}:`, found, expected[scenario]?.[name]));
    }
  }
  const alerting = await alerts(context);
  findings.push(...alerting.findings);
  if (write) expected.alerts = alerting.found;
  findings.push(...compare('alerts:', alerting.found, expected.alerts));
  if (write) writeFileSync(here('expected.json'), `${pretty(expected)}\n`);
  findings.forEach((finding) => console.log(finding));
  console.log(`${all.size} dashboards, ${panels} panels, ${Object.keys(alerting.found).length} alerts: ${findings.length} findings`);
  process.exitCode = findings.length ? 1 : 0;
}

/** JSON with a line for each panel. */
function pretty(value, depth = 0) {
  if (depth === 3 || typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value);
  const space = ' '.repeat(depth + 1);
  return `{\n${Object.entries(value)
    .map(([key, it]) => `${space}${JSON.stringify(key)}: ${pretty(it, depth + 1)}`)
    .join(',\n')}\n${' '.repeat(depth)}}`;
}

if (process.argv[1].endsWith('/gate.mjs')) await main();
