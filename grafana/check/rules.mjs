// What can be said of a dashboard without any data.
import { readFileSync } from 'node:fs';
import { Ajv, data, logql, promql, properties, schema } from './packages.mjs';
import { used } from './variables.mjs';

const types = ['stat', 'timeseries', 'table', 'bargauge', 'logs'];
const variables = ['datasource', 'cluster', 'namespace', 'workload', 'container', 'path', 'process'];
const sources = { '${datasource}': 'loki', '${prometheus}': 'prometheus' };
const units = new Set(data.getValueFormats().flatMap((group) => group.submenu.map((unit) => unit.value)));
const validate = new Ajv({ strict: false, allErrors: true }).compile(schema);

// What Loki makes of records besides their attributes, and what queries make themselves.
const own = ['severity_number', 'severity', 'where', 'ms'];
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const firsts = [...readme.matchAll(/^\| `([\w.]+)`/gm)].map(([, name]) => name);
const labels = new Set([...firsts.filter((name) => name.includes('.')).map((name) => name.replaceAll('.', '_')), ...own]);
const metrics = new Set(firsts.filter((name) => /^(inotrail|process)_/.test(name)));
// Of these there is no end: a query by them has to say how many it wants.
const many = ['file_path', 'process_executable_path', 'k8s_pod_name', 'where', 'container_id', 'process_pid', 'process_user_id'];

/** All findings about one dashboard, by its file's name; `uids`: of all of them, with the variables that they have. */
export function rules(name, dashboard, uids) {
  const found = [];
  const say = (text) => found.push(`${name}: ${text}`);
  if (!validate(dashboard)) {
    const errors = validate.errors.filter(({ keyword }) => !['anyOf', 'const', 'enum', 'type'].includes(keyword));
    (errors.length ? errors : validate.errors)
      .slice(0, 8)
      .forEach((error) => say(`schema: ${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`));
  }
  if (dashboard.uid !== `inotrail-${name}`) say(`uid ${dashboard.uid}`);
  if (!dashboard.tags?.includes('inotrail') || dashboard.editable !== false) say('tags, editable');
  const [link] = dashboard.links ?? [];
  if (!(link?.type === 'dashboards' && link.includeVars && link.keepTime && link.tags.includes('inotrail')))
    say('no links that keep filters and time');
  const names = dashboard.templating.list.map((variable) => variable.name);
  variables.filter((wanted) => !names.includes(wanted)).forEach((missing) => say(`no variable ${missing}`));
  [...used(JSON.stringify(dashboard))].filter((it) => !names.includes(it)).forEach((it) => say(`$${it} is no variable`));
  for (const variable of dashboard.templating.list.filter(({ type }) => type === 'query')) {
    source(variable, say, variable.name);
    if (variable.query.stream) loki(variable.query.stream, say, variable.name);
    if (variable.query.label && !labels.has(variable.query.label)) say(`${variable.name}: no label ${variable.query.label}`);
    if (variable.refresh !== 2) say(`${variable.name}: not asked for again with another time`);
  }
  const annotations = dashboard.annotations.list;
  if (!annotations.some((it) => it.expr.includes('inotrail.exporter.loss'))) say('no annotation of losses');
  annotations.forEach((it) => (source(it, say, it.name), loki(it.expr, say, it.name)));
  dashboard.panels.forEach((panel) => about(panel, (text) => say(`"${panel.title}": ${text}`), uids));
  overlaps(dashboard.panels, say);
  return found;
}

function source({ datasource, type }, say, what) {
  if (sources[datasource?.uid] !== datasource?.type) say(`${what}: datasource ${JSON.stringify(datasource)} of ${type}`);
}

function about(panel, say, uids) {
  if (!types.includes(panel.type)) say(`type ${panel.type}`);
  if (!panel.title || !panel.description) say('no title or no description');
  const { defaults, overrides } = panel.fieldConfig;
  if (!units.has(defaults.unit)) say(`unit ${defaults.unit}`);
  if (defaults.color && !data.fieldColorModeRegistry.getIfExists(defaults.color.mode)) say(`colour ${defaults.color.mode}`);
  source(panel, say, 'panel');
  for (const calc of panel.options.reduceOptions?.calcs ?? []) if (!data.fieldReducers.getIfExists(calc)) say(`reducer ${calc}`);
  for (const { id } of panel.transformations ?? []) if (!data.standardTransformersRegistry.getIfExists(id)) say(`transformation ${id}`);
  for (const { matcher, properties: set } of overrides) {
    if (!data.fieldMatchers.getIfExists(matcher.id)) say(`matcher ${matcher.id}`);
    set
      .filter(({ id }) => !properties.includes(id) && !/^custom\.(width|cellOptions|hideFrom)$/.test(id))
      .forEach(({ id }) => say(`property ${id}`));
    set
      .filter(({ id }) => id === 'links')
      .flatMap(({ value }) => value)
      .forEach(({ url }) => leads(url, say, uids));
  }
  for (const target of panel.targets) {
    source(target, say, target.refId);
    if (target.datasource.uid !== panel.datasource.uid) say(`${target.refId} asks another datasource`);
    (target.datasource.type === 'loki' ? lokiPanel : prometheus)(target.expr, say, target.refId);
  }
}

function leads(url, say, uids) {
  const [, uid, query] = /^\/d\/([\w-]+)\?(.*)$/.exec(url) ?? [];
  const target = uids.get(uid);
  if (!target) return say(`a link to ${url}`);
  if (!query.includes('${__url_time_range}')) say('a link that does not keep the time');
  const set = [...query.matchAll(/var-(\w+)=|\$\{(\w+):queryparam\}/g)].map(([, a, b]) => a ?? b);
  target.filter((name) => !set.includes(name)).forEach((name) => say(`a link to ${uid} that does not keep ${name}`));
  set.filter((name) => !target.includes(name)).forEach((name) => say(`a link to ${uid}, which has no ${name}`));
}

/** Whether it is LogQL, with labels that records have. */
export function loki(expr, say, what) {
  const filled = expr.replace(/\[\$__\w+\]/g, '[1m]').replace(/\$\{(\w+)(:\w+)?\}|\$\w+/g, 'x');
  parse(logql.parser, filled, say, what);
  const bare = filled.replace(/`[^`]*`|"(\\.|[^"\\])*"/g, '""');
  const named = [...bare.matchAll(/(\w+)\s*(?:=~|!~|!=|>=|<=|=|>|<)\s*(?:""|\d)/g)].map(([, name]) => name);
  const listed = [...bare.matchAll(/(?:\bby \(|\bkeep |\bunwrap )([\w, ]+)/g)].flatMap(([, list]) =>
    list.split(',').map((name) => name.trim()),
  );
  [...named, ...listed].filter((name) => name && !labels.has(name)).forEach((name) => say(`${what}: records have no ${name}`));
}

function lokiPanel(expr, say, what) {
  // A zero at each time: without it a single bar of a chart is as wide as the chart.
  if (expr === 'vector(0)') return;
  loki(expr, say, what);
  for (const name of ['cluster', 'namespace', 'workload', 'container'])
    if (!expr.includes(`=~"$${name}"`)) say(`${what} is not filtered by ${name}`);
  const isAccess = expr.includes('"inotrail.file.access"');
  for (const name of ['path', 'process'])
    if (isAccess && !expr.includes(`\`.*\${${name}:regex}.*\``)) say(`${what} is not filtered by ${name}`);
  if (!isAccess && !expr.includes('"inotrail.exporter.loss"')) say(`${what} does not say which records`);
  const by = /by \(([^)]*)\)/.exec(expr)?.[1].split(', ') ?? [];
  if (by.some((name) => many.includes(name)) && !/^(topk|count)\(/.test(expr)) say(`${what} has no end of series`);
  if (/_over_time\(/.test(expr) && !/\| keep /.test(expr)) say(`${what} takes labels along that it does not need`);
}

function prometheus(expr, say, what) {
  parse(promql.parser, expr.replaceAll(/\[\$__\w+\]/g, '[1m]').replaceAll('"$instance"', '"x"'), say, what);
  if (!expr.includes('instance=~"$instance"')) say(`${what} is not filtered by instance`);
  for (const [name] of expr.matchAll(/\b(inotrail|process)_\w+/g))
    if (!metrics.has(name.replace(/_bucket$/, ''))) say(`${what}: no metric ${name}`);
}

function parse(parser, text, say, what) {
  parser
    .parse(text)
    .iterate({
      enter: (node) => void (node.type.isError && say(`${what}: cannot be read at ${node.from}: ${text.slice(node.from, node.from + 30)}`)),
    });
}

function overlaps(panels, say) {
  const meet = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
  panels.forEach((a, index) =>
    panels
      .slice(index + 1)
      .filter((b) => meet(a.gridPos, b.gridPos))
      .forEach((b) => say(`"${a.title}" lies on "${b.title}"`)),
  );
  panels.filter(({ gridPos }) => gridPos.x + gridPos.w > 24).forEach(({ title }) => say(`"${title}" is too wide`));
}
