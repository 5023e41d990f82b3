// Draws one dashboard (/dashboard.json) for the hour that ends at ?end= (seconds since the Unix epoch).
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { catchError, from, map, of } from 'rxjs';
import { LoadingState, ThemeContext, createTheme, preProcessPanelData, type DataQueryRequest } from '@grafana/data';
import { config, setDataSourceSrv, setEchoSrv, setPluginImportUtils, setRunRequest } from '@grafana/runtime';
import {
  DataSourceVariable,
  EmbeddedScene,
  QueryVariable,
  RuntimeDataSource,
  SceneDataTransformer,
  SceneGridItem,
  SceneGridLayout,
  SceneQueryRunner,
  SceneTimeRange,
  SceneVariableSet,
  TextBoxVariable,
  VariableValueSelectors,
  VizPanel,
  behaviors,
  sceneGraph,
} from '@grafana/scenes';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { labelValues, query } from '../../check/sources.mjs';
import { styles } from '../../check/variables.mjs';
import { initRegistries, plugins } from './plugins';

const end = Number(new URLSearchParams(location.search).get('end')) * 1000;
const range = { from: end - 3600_000, to: end };
const context = { servers: { loki: '', prometheus: '/prometheus' }, range, values: new Map() };

class Source extends RuntimeDataSource<any> {
  private fill(scene: any, text: string, scoped: any) {
    const style = (value: any, variable: any) => styles[this.type](value, variable.multi || variable.includeAll);
    return sceneGraph.interpolate(scene, text, scoped, style as any);
  }
  async query(request: DataQueryRequest<any>) {
    const scene = request.scopedVars.__sceneObject!.value.valueOf();
    // These are left for the query itself.
    const own = Object.fromEntries(['__interval', '__interval_ms'].map((name) => [name, { text: `$${name}`, value: `$${name}` }]));
    const frames = request.targets.map((target) =>
      query(
        { ...target, expr: this.fill(scene, target.expr, { ...request.scopedVars, ...own }) },
        { ...context, intervalMs: request.intervalMs },
      ),
    );
    return { data: (await Promise.all(frames)).flat() };
  }
  async metricFindQuery(query: any, options?: any) {
    const scene = options?.scopedVars?.__sceneObject?.value.valueOf();
    const filled = query.stream && scene ? { ...query, stream: this.fill(scene, query.stream, options.scopedVars) } : query;
    const found = await labelValues({ datasource: { type: this.type }, query: filled }, context);
    return found.map((text: string) => ({ text, value: text }));
  }
}

function boot() {
  initRegistries();
  config.theme2 = createTheme({ colors: { mode: 'dark' } });
  const sources: any[] = ['loki', 'prometheus'].map((type) => new Source(type, `inotrail-${type}`));
  const settings: any[] = sources.map((it) => ({
    uid: it.uid,
    name: it.type === 'loki' ? 'Loki' : 'Prometheus',
    type: it.type,
    meta: { ...it.meta, id: it.type, info: { logos: {} } },
    isDefault: it.type === 'loki',
  }));
  const find = (list: any[], wanted: any, scoped?: any) => {
    const uid = typeof wanted === 'string' ? wanted : wanted?.uid;
    const type = wanted?.type ?? (/prometheus/.test(uid) ? 'prometheus' : 'loki');
    return list.find((it) => it.type === type);
  };
  setDataSourceSrv({
    get: async (wanted: any) => find(sources, wanted),
    getList: ({ pluginId }: any = {}) => settings.filter((it) => !pluginId || it.type === pluginId),
    getInstanceSettings: (wanted: any) => find(settings, wanted),
    reload() {},
    registerRuntimeDataSource() {},
  } as any);
  setPluginImportUtils({ importPanelPlugin: async (id: string) => plugin(id), getPanelPluginFromCache: plugin } as any);
  setEchoSrv({ addEvent() {}, addBackend() {}, flush() {} } as any);
  setRunRequest((source, request): any =>
    from(Promise.resolve(source.query(request) as any)).pipe(
      map((answer: any) =>
        preProcessPanelData({ state: LoadingState.Done, series: answer.data, timeRange: request.range, request } as any),
      ),
      catchError(
        (error) => (
          console.error(`a query failed: ${error}`),
          of({ state: LoadingState.Error, series: [], timeRange: request.range, errors: [{ message: String(error) }] } as any)
        ),
      ),
    ),
  );
}

function plugin(id: string): any {
  const made: any = plugins[id];
  made.meta = {
    id,
    name: id,
    module: '',
    baseUrl: '',
    sort: 0,
    info: { author: { name: '' }, description: '', links: [], logos: { small: '', large: '' }, screenshots: [], updated: '', version: '' },
  };
  return made;
}

function variable(it: any): any {
  const base = { name: it.name, label: it.label, description: it.description, hide: it.hide };
  if (it.type === 'datasource') return new DataSourceVariable({ ...base, pluginId: it.query });
  if (it.type === 'textbox') return new TextBoxVariable({ ...base, value: it.current.value });
  return new QueryVariable({
    ...base,
    value: it.current.value,
    text: it.current.text,
    isMulti: it.multi,
    includeAll: it.includeAll,
    allValue: it.allValue,
    datasource: it.datasource,
    query: it.query,
    refresh: it.refresh,
    sort: it.sort,
    regex: it.regex,
  });
}

function item(panel: any) {
  const { x, y, w, h } = panel.gridPos;
  const runner = new SceneQueryRunner({
    queries: panel.targets,
    datasource: panel.datasource,
    ...(panel.maxDataPoints ? { maxDataPoints: panel.maxDataPoints } : { maxDataPointsFromWidth: true }),
  });
  const data = new SceneDataTransformer({ $data: runner, transformations: panel.transformations ?? [] });
  const body = new VizPanel({
    key: `panel-${panel.id}`,
    pluginId: panel.type,
    title: panel.title,
    description: panel.description,
    options: panel.options,
    fieldConfig: panel.fieldConfig,
    $data: data,
  });
  return new SceneGridItem({ x, y, width: w, height: h, body });
}

boot();
const dashboard: any = await (await fetch('/dashboard.json')).json();
const scene = new EmbeddedScene({
  $timeRange: new SceneTimeRange({ from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString(), timeZone: 'utc' }),
  $variables: new SceneVariableSet({ variables: dashboard.templating.list.map(variable) }),
  $behaviors: [new behaviors.CursorSync({ sync: dashboard.graphTooltip })],
  controls: [new VariableValueSelectors({})],
  body: new SceneGridLayout({ isLazy: false, isDraggable: false, children: dashboard.panels.map(item) }),
});
const frame = { padding: 8, minHeight: '100vh', background: config.theme2.colors.background.canvas };
createRoot(document.getElementById('root')!).render(
  <MemoryRouter>
    <ThemeContext.Provider value={config.theme2}>
      <GlobalStyles />
      <div style={frame}>
        <scene.Component model={scene} />
      </div>
      <PortalContainer />
    </ThemeContext.Provider>
  </MemoryRouter>,
);
