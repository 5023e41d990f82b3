// Whether the gate would see a slip: each of these is made in a copy of the dashboards, and must be found by the rules, or by what the
// panel shows. A gate that says yes to everything would pass everything else here.
import { alerts, rulesFiles } from './alerts.mjs';
import { compare, context, dashboards, read, rest, shown, uidsOf } from './gate.mjs';
import { rules } from './rules.mjs';

const expr =
  (from, to) =>
  ({ targets: [target] }) =>
    (target.expr = replaced(target.expr, from, to));

function replaced(text, from, to) {
  if (!text.includes(from)) throw new Error(`a mutation of ${from}, which is not in ${text}`);
  return text.replaceAll(from, to);
}

const url = (from, to) => (panel) => {
  const link = panel.fieldConfig.overrides.flatMap(({ properties }) => properties).find(({ id }) => id === 'links').value[0];
  link.url = replaced(link.url, from, to);
};

// Dashboard, number of the panel, what is wrong, and how it is made wrong.
const inPanels = [
  ['overview', 1, 'a label that no record has', expr('file_path', 'file_name')],
  ['overview', 1, 'a label of Loki that is not of these', expr('service_name', 'service')],
  ['overview', 1, 'records instead of accesses', expr('sum_over_time', 'count_over_time')],
  ['overview', 1, 'another number added up', expr('unwrap inotrail_aggregation_count', 'unwrap process_user_id')],
  ['overview', 1, 'a filter left out', expr(', k8s_container_name=~"$container"', '')],
  ['overview', 1, 'a filter that takes no part of a path', expr('`.*${path:regex}.*`', '`${path:regex}`')],
  ['overview', 1, 'a variable that does not exist', expr('$namespace', '$namespaces')],
  ['overview', 1, 'LogQL that cannot be read', expr('[$__range]))', '[$__range])')],
  ['overview', 1, 'the time of one interval', expr('[$__range]', '[$__interval]')],
  ['overview', 1, 'an unknown unit', (panel) => (panel.fieldConfig.defaults.unit = 'shorts')],
  ['overview', 1, 'a unit of something else', (panel) => (panel.fieldConfig.defaults.unit = 'bytes')],
  ['overview', 1, 'an unknown reducer', (panel) => (panel.options.reduceOptions.calcs = ['lastNonNull'])],
  ['overview', 1, 'another reducer', (panel) => (panel.options.reduceOptions.calcs = ['count'])],
  ['overview', 1, 'a fixed datasource', (panel) => (panel.datasource.uid = 'inotrail-loki')],
  ['overview', 1, 'a datasource of another kind', (panel) => (panel.targets[0].datasource = { type: 'prometheus', uid: '${prometheus}' })],
  ['overview', 1, 'no description', (panel) => delete panel.description],
  ['overview', 1, 'no unit', (panel) => delete panel.fieldConfig.defaults.unit],
  ['overview', 1, 'an option that does not exist', (panel) => (panel.options.graphMod = 'none')],
  ['overview', 1, 'a value that an option does not have', (panel) => (panel.options.graphMode = 'spark')],
  ['overview', 1, 'a panel over another one', (panel) => (panel.gridPos.x = 2)],
  ['overview', 1, 'another type of query', (panel) => (panel.targets[0].queryType = 'range')],
  ['overview', 2, 'another outcome', expr('"failure"', '"failed"')],
  ['overview', 3, 'another action', expr('"violation"', '"record"')],
  ['overview', 4, 'losses that are counted as records', expr('unwrap inotrail_loss_count', 'unwrap inotrail_stream_sequence')],
  ['overview', 6, 'nodes counted by namespace', expr('k8s_node_name', 'k8s_namespace_name')],
  ['overview', 7, 'a legend of another label', (panel) => (panel.targets[0].legendFormat = '{{namespace}}')],
  ['overview', 7, 'a style that does not exist', (panel) => (panel.fieldConfig.defaults.custom.drawStyle = 'bar')],
  ['overview', 7, 'a type of panel that is not for the preview', (panel) => (panel.type = 'barchart')],
  ['overview', 9, 'bars in another order', (panel) => (panel.transformations[1].options.sort[0].desc = false)],
  ['overview', 9, 'one bar for all', (panel) => (panel.options.reduceOptions.values = false)],
  ['overview', 12, 'an unknown transformation', (panel) => (panel.transformations[0].id = 'organise')],
  [
    'overview',
    12,
    'a rename of a column that is not there',
    (panel) => (panel.transformations[0].options.renameByName = { 'Value #B': 'Accesses', file_path: 'Path' }),
  ],
  ['overview', 12, 'an override of a column that is not there', (panel) => (panel.fieldConfig.overrides[0].matcher.options = 'Paths')],
  ['overview', 12, 'a property that does not exist', (panel) => (panel.fieldConfig.overrides[0].properties[0].id = 'custom.cellOption')],
  ['overview', 12, 'an unknown matcher', (panel) => (panel.fieldConfig.overrides[0].matcher.id = 'byNames2')],
  ['overview', 12, 'sorted by a column that is not there', (panel) => (panel.options.sortBy[0].displayName = 'Value #A')],
  ['overview', 12, 'no end of series', expr('topk(50, ', '(')],
  ['overview', 12, 'fewer rows', expr('topk(50, ', 'topk(20, ')],
  ['overview', 12, 'a link to nowhere', url('inotrail-files', 'inotrail-file')],
  ['overview', 12, 'a link that forgets the time', url('${__url_time_range}&', '')],
  ['overview', 12, 'a link that forgets a filter', url('&${namespace:queryparam}', '')],
  ['overview', 12, 'a link that sets what is not there', url('var-path', 'var-file')],
  ['files', 5, 'seconds for milliseconds', expr('unixEpochMillis', 'unixEpoch')],
  ['files', 8, 'users with a unit', (panel) => (panel.fieldConfig.defaults.unit = 'short')],
  ['files', 11, 'all records', expr('inotrail.file.access', 'inotrail.exporter.loss')],
  ['violations', 2, 'all severities', expr('severity_number>=17', 'severity_number>=18')],
  ['violations', 6, 'wrong words for severities', expr('"17"', '"16"')],
  ['health', 9, 'an unknown metric', expr('inotrail_events_total', 'inotrail_event_total')],
  ['health', 9, 'PromQL that cannot be read', expr('rate(', 'rate((')],
  ['health', 9, 'not per second', expr('rate(', 'increase(')],
  ['health', 10, 'another label', expr('by (reason)', 'by (destination)')],
  ['health', 12, 'percent of a hundred', (panel) => (panel.fieldConfig.defaults.unit = 'percent')],
  ['health', 15, 'another quantile', expr('0.99', '0.5')],
  ['health', 21, 'a frame for each query', (panel) => panel.transformations.shift()],
];

const variable = (dashboard, name) => dashboard.templating.list.find((it) => it.name === name);
const inDashboards = [
  ['another uid', (dashboard) => (dashboard.uid = 'overview')],
  ['a key that does not exist', (dashboard) => (dashboard.refersh = '1m')],
  ['no variable for paths', (dashboard) => (dashboard.templating.list = dashboard.templating.list.filter(({ name }) => name !== 'path'))],
  ['a variable of another label', (dashboard) => (variable(dashboard, 'workload').query.label = 'k8s_container_name')],
  ['a variable that another one does not narrow', (dashboard) => (variable(dashboard, 'container').query.stream = '{service_name="none"}')],
  ['a variable of another datasource', (dashboard) => (variable(dashboard, 'cluster').datasource.uid = 'loki')],
  ['a variable that is not asked for again', (dashboard) => (variable(dashboard, 'cluster').refresh = 1)],
  ['All that leaves out what has no value', (dashboard) => (variable(dashboard, 'namespace').allValue = '.+')],
  ['links that forget filters', (dashboard) => (dashboard.links[0].includeVars = false)],
  ['links that forget the time', (dashboard) => (dashboard.links[0].keepTime = false)],
  ['no annotation', (dashboard) => (dashboard.annotations.list = [])],
  ['an annotation of something else', (dashboard) => (dashboard.annotations.list[0].expr += ' | inotrail_loss_reason="none"')],
];

const inAlerts = [
  [
    'a threshold that is never reached',
    ({ ruler }) => (ruler.groups[0].rules[1].expr = replaced(ruler.groups[0].rules[1].expr, '> 20', '> 2000')),
  ],
  ['two queries of one name', ({ grafana }) => (grafana.groups[0].rules[0].data[0].model.expr += ' ')],
  [
    'a label that no record has',
    ({ ruler }) => (ruler.groups[0].rules[0].expr = replaced(ruler.groups[0].rules[0].expr, 'inotrail_policy_action', 'policy_action')),
  ],
  ['a datasource that is not provisioned', ({ grafana }) => (grafana.groups[0].rules[0].data[0].datasourceUid = 'loki')],
  ['a condition of nothing', ({ grafana }) => (grafana.groups[0].rules[0].condition = 'C')],
  ['a message of a label that is not there', ({ ruler }) => (ruler.groups[0].rules[0].annotations.summary += '{{ .Labels.pod }}')],
  ['an unknown metric', ({ grafana }) => (grafana.groups[1].rules.at(-1).data[0].model.expr = 'inotrail_wel < 1')],
];

const expected = read('expected.json');
const all = dashboards();

async function ofPanel([name, id, , mutate]) {
  const dashboard = structuredClone(all.get(name));
  const panel = dashboard.panels.find((panel) => panel.id === id);
  const key = `${id} ${panel.title}`;
  mutate(panel);
  const found = rules(name, dashboard, uidsOf(all));
  return [...found, ...compare(name, { [key]: await shown(dashboard, panel, {}) }, { [key]: expected.all[name][key] })];
}

async function ofDashboard([, mutate]) {
  const dashboard = structuredClone(all.get('overview'));
  mutate(dashboard);
  const [{ id, title }] = dashboard.panels;
  const key = `${id} ${title}`;
  const {
    all: { overview },
  } = expected;
  const names = Object.keys(overview).filter((name) => /^[$@]/.test(name) || name === key);
  const found = { ...(await rest(dashboard, {})), [key]: await shown(dashboard, dashboard.panels[0], {}) };
  return [
    ...rules('overview', dashboard, uidsOf(all)),
    ...compare('overview', found, Object.fromEntries(names.map((name) => [name, overview[name]]))),
  ];
}

async function ofAlerts([, mutate]) {
  const files = rulesFiles();
  mutate(files);
  const { findings, found } = await alerts(context, files);
  return [...findings, ...compare('alerts', found, expected.alerts)];
}

const made = [
  ...inPanels.map((it) => [`${it[0]} ${it[1]}: ${it[2]}`, () => ofPanel(it)]),
  ...inDashboards.map((it) => [`dashboard: ${it[0]}`, () => ofDashboard(it)]),
  ...inAlerts.map((it) => [`alerts: ${it[0]}`, () => ofAlerts(it)]),
];
// One that changes nothing is not found, or all others prove nothing.
const clean = [
  ...(await ofPanel(['overview', 1, '', () => {}])),
  ...(await ofDashboard(['', () => {}])),
  ...(await ofAlerts(['', () => {}])),
];
clean.forEach((finding) => console.log(`found where nothing is wrong: ${finding}`));
const missed = [];
for (const [what, make] of made) if (!(await make()).length) missed.push(what);
missed.forEach((what) => console.log(`not found: ${what}`));
console.log(`${made.length} slips, ${made.length - missed.length} found`);
process.exitCode = missed.length || clean.length ? 1 : 0;
