// Panels of parts that Grafana publishes. Its own panel plugins are not published, so the defaults of their options are repeated here.
import {
  FieldColorModeId,
  FieldConfigProperty,
  FieldType,
  PanelPlugin,
  ReducerID,
  ThresholdsMode,
  VizOrientation,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  identityOverrideProcessor,
  numberOverrideProcessor,
  standardEditorsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  thresholdsOverrideProcessor,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
  type PanelProps,
} from '@grafana/data';
import { BarGaugeBody, LogsBody, StatBody, TableBody, TimeSeriesBody } from './bodies';

const none: any = () => null;

/** Grafana fills these at its start. */
export function initRegistries() {
  const editors = [
    'number',
    'slider',
    'text',
    'strings',
    'select',
    'multi-select',
    'radio',
    'boolean',
    'unit',
    'color',
    'links',
    'mappings',
    'thresholds',
    'stats-picker',
    'field-name',
    'fieldColor',
    'timezone',
    'string',
    'actions',
  ];
  standardEditorsRegistry.setInit(() => editors.map((id) => ({ id, name: id, editor: none })));
  const property = (id: string, process: any, defaultValue?: any): any => ({
    id,
    path: id,
    name: id,
    editor: none,
    override: none,
    process,
    defaultValue,
    shouldApply: () => true,
    getItemsCount: () => 0,
  });
  const steps = [
    { value: -Infinity, color: 'green' },
    { value: 80, color: 'red' },
  ];
  standardFieldConfigEditorRegistry.setInit(() => [
    property('unit', unitOverrideProcessor),
    property('min', numberOverrideProcessor),
    property('max', numberOverrideProcessor),
    property('decimals', numberOverrideProcessor),
    property('displayName', displayNameOverrideProcessor),
    property('noValue', displayNameOverrideProcessor),
    property('description', displayNameOverrideProcessor),
    property('filterable', identityOverrideProcessor),
    property('fieldMinMax', identityOverrideProcessor),
    property('color', identityOverrideProcessor),
    property('mappings', valueMappingsOverrideProcessor, []),
    property('links', dataLinksOverrideProcessor),
    property('actions', identityOverrideProcessor),
    property('thresholds', thresholdsOverrideProcessor, { mode: ThresholdsMode.Absolute, steps }),
  ]);
  const transformers = new Map(Object.values(standardTransformers).map((it: any) => [it.id, it]));
  standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map((it: any) => ({
      id: it.id,
      name: it.name,
      transformation: async () => it,
      editor: none,
      imageDark: '',
      imageLight: '',
    })),
  );
}

type Values = Record<string, any>;

function plugin(body: React.ComponentType<PanelProps<any>>, options: Values, custom: Values, mode = FieldColorModeId.Thresholds) {
  const made = new PanelPlugin<any, any>(body);
  made.useFieldConfig({
    standardOptions: { [FieldConfigProperty.Color]: { defaultValue: { mode } } } as any,
    useCustomConfig: (builder) => {
      for (const [path, defaultValue] of Object.entries(custom)) {
        const shouldApply = (field: any) => !path.startsWith('axis') || field.type !== FieldType.time;
        builder.addCustomEditor({
          id: path,
          path,
          name: path,
          defaultValue,
          editor: none,
          override: none,
          process: identityOverrideProcessor,
          shouldApply,
        });
      }
    },
  });
  made.setPanelOptions((builder) => {
    for (const [path, defaultValue] of Object.entries(options))
      builder.addCustomEditor({ id: path, path, name: path, defaultValue, editor: none });
  });
  return made;
}

const reduceOptions = { values: false, calcs: [ReducerID.lastNotNull], fields: '' };
const charts = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  barAlignment: 0,
  barWidthFactor: 0.6,
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: 'none',
  lineStyle: undefined,
  spanNulls: false,
  showPoints: 'auto',
  pointSize: 5,
  stacking: { mode: 'none', group: 'A' },
  axisPlacement: 'auto',
  axisLabel: '',
  axisColorMode: 'text',
  scaleDistribution: { type: 'linear' },
  axisCenteredZero: false,
  hideFrom: { legend: false, tooltip: false, viz: false },
  thresholdsStyle: { mode: 'off' },
  insertNulls: false,
  fillBelowTo: undefined,
  axisSoftMin: undefined,
  axisSoftMax: undefined,
  axisGridShow: undefined,
  axisWidth: undefined,
  transform: undefined,
};
const columns = {
  align: 'auto',
  cellOptions: { type: 'auto' },
  width: undefined,
  minWidth: undefined,
  inspect: false,
  filterable: false,
  hidden: undefined,
  hideFrom: undefined,
  footer: { reducers: [] },
};
const legend = { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] };

export const plugins: Record<string, PanelPlugin<any, any>> = {
  timeseries: plugin(TimeSeriesBody, { legend, tooltip: { mode: 'single', sort: 'none' } }, charts, FieldColorModeId.PaletteClassic),
  stat: plugin(
    StatBody,
    {
      reduceOptions,
      orientation: VizOrientation.Auto,
      textMode: 'auto',
      wideLayout: true,
      colorMode: 'value',
      graphMode: 'area',
      justifyMode: 'auto',
      text: undefined,
      showPercentChange: false,
    },
    {},
  ),
  bargauge: plugin(
    BarGaugeBody,
    {
      reduceOptions,
      orientation: VizOrientation.Auto,
      displayMode: 'gradient',
      valueMode: 'color',
      namePlacement: 'auto',
      showUnfilled: true,
      sizing: 'auto',
      text: undefined,
    },
    {},
  ),
  table: plugin(TableBody, { showHeader: true, cellHeight: 'sm', sortBy: undefined, showTypeIcons: false }, columns),
  logs: plugin(LogsBody, { showTime: false, wrapLogMessage: false, sortOrder: 'Descending' }, {}),
};
