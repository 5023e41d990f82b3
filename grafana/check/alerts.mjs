// Alert rules: of Loki's ruler, and of Grafana.
import { readFileSync } from 'node:fs';
import { YAML } from './packages.mjs';
import { loki } from './rules.mjs';
import { query } from './sources.mjs';

const read = (name) => YAML.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'));
/** What the files of a kind say together: one for each source. */
const provisioned = (kind, what) => ['loki', 'prometheus'].flatMap((source) => read(`provisioning/${kind}/${source}.yaml`)[what]);
export const rulesFiles = () => ({ ruler: read('loki-rules/inotrail.yaml'), grafana: { groups: provisioned('alerting', 'groups') } });
const known = { 'inotrail-loki': 'loki', 'inotrail-prometheus': 'prometheus' };

/** What is wrong with them, and for each, by its file and name, the labels and the value of what it finds. */
export async function alerts(context, files = rulesFiles()) {
  const findings = [];
  const sources = provisioned('datasources', 'datasources');
  if (JSON.stringify(Object.fromEntries(sources.map(({ uid, type }) => [uid, type]))) !== JSON.stringify(known))
    findings.push('datasources: other uids than alerts name');
  const ruler = files.ruler.groups
    .flatMap(({ rules }) => rules)
    .map((rule) => ({ name: rule.alert, type: 'loki', file: 'loki-rules', expr: rule.expr, ...rule }));
  const grafana = files.grafana.groups.flatMap(({ rules }) => rules).map((rule) => ofGrafana(rule, findings));
  const exprs = new Map(ruler.map(({ name, expr }) => [name, expr]));
  const found = {};
  for (const rule of [...ruler, ...grafana]) {
    const at = `${rule.file}: ${rule.name}`;
    const say = (text) => findings.push(`${at}: ${text}`);
    if (rule.type === 'loki') loki(rule.expr, say, 'expr');
    const copy = exprs.get(rule.name);
    if (rule.type === 'loki' && copy !== rule.expr) say('not the same query in both files');
    if (!['warning', 'critical'].includes(rule.labels?.severity)) say('no severity');
    if (!/^inotrail-\w+$/.test(rule.annotations?.dashboard)) say('no dashboard');
    found[at] = await results(rule, context).catch((error) => ({ error: error.message }));
    templates(rule, found[at], say);
  }
  return { findings, found };
}

function ofGrafana(rule, findings) {
  const [ask, judge] = rule.data;
  const type = known[ask.datasourceUid];
  const say = (text) => findings.push(`alerting: ${rule.title}: ${text}`);
  if (!/^inotrail-[\w-]+$/.test(rule.uid)) say(`uid ${rule.uid}`);
  if (!type) say(`datasource ${ask.datasourceUid}`);
  if (rule.condition !== judge.refId || judge.datasourceUid !== '__expr__' || judge.model.expression !== ask.refId)
    say('a condition that is not about the query');
  if (ask.model.refId !== ask.refId || !(ask.model.instant || ask.model.queryType === 'instant')) say('not asked at one time');
  if (JSON.stringify(rule).includes('$')) say('a dollar sign, which Grafana takes for a variable of its environment');
  return { ...rule, name: rule.title, type, file: 'alerting', expr: ask.model.expr };
}

async function results(rule, context) {
  const target = { refId: 'A', datasource: { type: rule.type }, expr: rule.expr, queryType: 'instant', instant: true, format: 'table' };
  const [frame] = await query(target, { ...context, values: new Map(), intervalMs: 60_000 });
  if (!frame) return [];
  const rows = [...Array(frame.length).keys()].map((row) => frame.fields.slice(1).map(({ name, values }) => [name, values[row]]));
  return rows
    .map((row) =>
      row
        .filter(([, value]) => value !== '')
        .map(([name, value]) => `${name.replace('Value #A', 'value')}=${value}`)
        .join(' '),
    )
    .sort();
}

/** Labels that messages name are there. */
function templates({ annotations, expr }, found, say) {
  const named = [...JSON.stringify(annotations).matchAll(/\.Labels\.(\w+)/g)].map(([, name]) => name);
  if (!Array.isArray(found) || !found.length) return say('finds nothing in the workload');
  named.filter((name) => !expr.includes(name)).forEach((name) => say(`its message names ${name}, which its query does not tell`));
}
