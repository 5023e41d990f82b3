// What a dashboard file may say: Grafana's own types, for the five kinds of panels that are used, and the two kinds of queries.
// A JSON Schema is made of this; the published types leave options of panels and queries open.
import type { AnnotationQuery, Dashboard as Grafana, DataSourceRef, FieldConfig, FieldConfigSource, Panel } from '@grafana/schema';
import type { Options as BarGauge } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as Logs } from '@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as TableField,
  Options as Table,
} from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type {
  FieldConfig as TimeSeriesField,
  Options as TimeSeries,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

interface LokiTarget {
  refId: string;
  datasource: DataSourceRef;
  expr: string;
  queryType: 'range' | 'instant';
  legendFormat?: string;
  maxLines?: number;
}
interface PrometheusTarget {
  refId: string;
  datasource: DataSourceRef;
  expr: string;
  range?: boolean;
  instant?: boolean;
  format?: 'time_series' | 'table';
  legendFormat?: string;
}
type Body<Type extends string, Options, Field = {}> = Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Type;
  options: Partial<Options>;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & { defaults: FieldConfig<Partial<Field>> };
  targets: Array<LokiTarget | PrometheusTarget>;
};
type Any =
  | Body<'stat', Stat>
  | Body<'timeseries', TimeSeries, TimeSeriesField>
  | Body<'table', Table, TableField>
  | Body<'bargauge', BarGauge>
  | Body<'logs', Logs>;
// As Grafana's Loki data source keeps them.
type Annotation = AnnotationQuery & { expr: string; titleFormat?: string; textFormat?: string; tagKeys?: string };
export type Dashboard = Omit<Grafana, 'panels' | 'annotations'> & { panels: Any[]; annotations: { list: Annotation[] } };
