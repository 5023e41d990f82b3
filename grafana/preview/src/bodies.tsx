// What is in a panel, by parts of @grafana/ui.
import { useMemo } from 'react';
import {
  cacheFieldDisplayNames,
  dateTimeFormat,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  type FieldDisplay,
  type PanelProps,
} from '@grafana/data';
import { BarGauge, BigValue, BigValueTextMode, TimeSeries, VizRepeater, useTheme2 } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

const NoData = () => <div style={{ display: 'grid', placeItems: 'center', height: '100%' }}>No data</div>;

export function TimeSeriesBody({ data, width, height, options, timeRange, timeZone }: PanelProps<any>) {
  if (!data.series.length) return <NoData />;
  return (
    <TimeSeries
      frames={data.series}
      structureRev={data.structureRev}
      width={width}
      height={height}
      timeRange={timeRange}
      timeZone={timeZone}
      legend={options.legend}
      options={options}
    />
  );
}

function useValues({ data, options, fieldConfig, replaceVariables, timeZone }: PanelProps<any>, sparkline: boolean) {
  const theme = useTheme2();
  return () =>
    getFieldDisplayValues({
      fieldConfig,
      reduceOptions: options.reduceOptions,
      replaceVariables,
      theme,
      data: data.series,
      sparkline,
      timeZone,
    });
}

export function StatBody(props: PanelProps<any>) {
  const theme = useTheme2();
  const { options: o, width, height, data, renderCounter } = props;
  const getValues = useValues(props, o.graphMode !== 'none');
  const value = ({ value, alignmentFactors, width, height, count }: any) => {
    const { display, sparkline } = value as FieldDisplay;
    const textMode = count > 1 && o.textMode === 'auto' ? BigValueTextMode.ValueAndName : o.textMode;
    return (
      <BigValue
        value={display}
        count={count}
        sparkline={sparkline}
        colorMode={o.colorMode}
        graphMode={o.graphMode}
        justifyMode={o.justifyMode}
        textMode={textMode}
        alignmentFactors={alignmentFactors}
        text={o.text}
        width={width}
        height={height}
        theme={theme}
      />
    );
  };
  return (
    <VizRepeater
      getValues={getValues}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      width={width}
      height={height}
      source={data}
      itemSpacing={3}
      autoGrid
      orientation={o.orientation}
      renderCounter={renderCounter}
      renderValue={value}
    />
  );
}

export function BarGaugeBody(props: PanelProps<any>) {
  const theme = useTheme2();
  const { options: o, width, height, data, renderCounter } = props;
  const getValues = useValues(props, false);
  const value = ({ value, alignmentFactors, width, height, orientation }: any) => {
    const { field, display, view, colIndex } = value as FieldDisplay;
    return (
      <BarGauge
        value={display}
        width={width}
        height={height}
        orientation={orientation}
        field={field}
        text={o.text}
        display={view?.getFieldDisplayProcessor(colIndex!)}
        theme={theme}
        itemSpacing={10}
        displayMode={o.displayMode}
        alignmentFactors={alignmentFactors}
        showUnfilled={o.showUnfilled}
        valueDisplayMode={o.valueMode}
        namePlacement={o.namePlacement}
      />
    );
  };
  return (
    <VizRepeater
      getValues={getValues}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      width={width}
      height={height}
      source={data}
      itemSpacing={10}
      minVizHeight={o.minVizHeight}
      maxVizHeight={o.maxVizHeight}
      orientation={o.orientation}
      renderCounter={renderCounter}
      renderValue={value}
    />
  );
}

export function TableBody({ data, width, height, options, timeRange, fieldConfig }: PanelProps<any>) {
  // Grafana's table panel does this too; names of columns are lost without it.
  useMemo(() => cacheFieldDisplayNames(data.series), [data.series]);
  if (!data.series.length) return <NoData />;
  return (
    <TableNG
      data={data.series[0]}
      width={width}
      height={height}
      noHeader={!options.showHeader}
      sortBy={options.sortBy}
      cellHeight={options.cellHeight}
      timeRange={timeRange}
      fieldConfig={fieldConfig}
      structureRev={data.structureRev}
      showTypeIcons={options.showTypeIcons}
    />
  );
}

const COLOURS: Record<string, string> = { critical: 'purple', error: 'red', warn: 'orange', info: 'green' };

// Grafana's list of log lines is not published; this has its look only.
export function LogsBody({ data, height, options, timeZone }: PanelProps<any>) {
  const theme = useTheme2();
  const frame = data.series[0];
  if (!frame) return <NoData />;
  const values = (name: string) => frame.fields.find((field) => field.name === name)!.values;
  const [labels, lines, times] = [values('labels'), values('Line'), values('Time')];
  const font = { fontFamily: theme.typography.fontFamilyMonospace, fontSize: theme.typography.bodySmall.fontSize, lineHeight: '20px' };
  return (
    <div style={{ height, overflow: 'auto', ...font }}>
      {lines.map((line: string, index: number) => {
        const level = labels[index].detected_level;
        const colour = COLOURS[level] ? theme.visualization.getColorByName(COLOURS[level]) : theme.colors.text.disabled;
        return (
          <div key={index} style={{ display: 'flex', gap: 8, whiteSpace: options.wrapLogMessage ? 'pre-wrap' : 'pre' }}>
            <span style={{ width: 3, flex: 'none', background: colour }} />
            {options.showTime && (
              <span style={{ color: theme.colors.text.secondary }}>
                {dateTimeFormat(times[index], { timeZone, format: 'YYYY-MM-DD HH:mm:ss.SSS' })}
              </span>
            )}
            <span>{line}</span>
          </div>
        );
      })}
    </div>
  );
}
