/** The queries of a panel in PromQL, by the legend of their series. */
export interface Panel {
  title: string;
  description?: string;
  unit?: Unit;
  queries: Record<string, string>;
  kind?: 'timeseries' | 'stat' | 'bargauge';
  /** columns of the 24 that a dashboard has; default 8 */
  width?: number;
  /** the values from which it is orange, and red */
  thresholds?: readonly [number, number];
  stacked?: boolean;
}

export interface Row {
  title: string;
  panels: Panel[];
}

export interface Dashboard {
  uid: string;
  title: string;
  description: string;
  rows: Row[];
  /** variables of the dashboard: a label's values, as `$name` in queries */
  variables?: { name: string; metric: string; label: string }[];
}

/** Grafana's names of units. */
type Unit = 's' | 'reqps' | 'ops' | 'short' | 'percentunit' | 'bytes' | 'dateTimeFromNow';

const height = 8;
const columns = 24;

/** Grafana's JSON model of a dashboard, panels placed from the left to the right. */
export function dashboardModel({ uid, title, description, rows, variables = [] }: Dashboard): object {
  const panels: object[] = [];
  let y = 0;
  for (const row of rows) {
    panels.push({
      type: 'row',
      title: row.title,
      id: panels.length + 1,
      gridPos: { x: 0, y, w: columns, h: 1 },
      panels: [],
    });
    y += 1;
    let x = 0;
    for (const panel of row.panels) {
      const w = panel.width ?? 8;
      if (x + w > columns) {
        x = 0;
        y += height;
      }
      panels.push({ ...panelModel(panel), id: panels.length + 1, gridPos: { x, y, w, h: height } });
      x += w;
    }
    y += height;
  }
  return {
    uid,
    title,
    description,
    tags: ['millrace'],
    schemaVersion: 41,
    refresh: '10s',
    time: { from: 'now-30m', to: 'now' },
    timezone: 'browser',
    editable: true,
    graphTooltip: 1,
    templating: { list: [datasource, ...variables.map(variableModel)] },
    links: [{ type: 'dashboards', tags: ['millrace'], title: 'Millrace', asDropdown: true, keepTime: true }],
    panels,
  };
}

const datasource = { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus' };
const source = { type: 'prometheus', uid: '${datasource}' };

function variableModel({ name, metric, label }: { name: string; metric: string; label: string }): object {
  const query = `label_values(${metric}, ${label})`;
  return { name, type: 'query', datasource: source, query, refresh: 2, includeAll: true, multi: true, allValue: '.+' };
}

function panelModel({
  title,
  description,
  unit = 'short',
  queries,
  kind = 'timeseries',
  thresholds,
  stacked,
}: Panel): object {
  const [warning, critical] = thresholds ?? [];
  const steps = [
    { color: thresholds || kind === 'timeseries' ? 'green' : 'blue', value: null },
    ...(thresholds
      ? [
          { color: 'orange', value: warning },
          { color: 'red', value: critical },
        ]
      : []),
  ];
  return {
    type: kind,
    title,
    ...(description !== undefined && { description }),
    datasource: source,
    fieldConfig: {
      defaults: {
        unit,
        min: unit === 'dateTimeFromNow' ? undefined : 0,
        thresholds: { mode: 'absolute', steps },
        custom:
          kind === 'timeseries'
            ? { fillOpacity: 10, showPoints: 'never', stacking: { mode: stacked ? 'normal' : 'none' } }
            : {},
      },
      overrides: [],
    },
    options:
      kind === 'timeseries'
        ? { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } }
        : { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value' },
    targets: Object.entries(queries).map(([legend, expr], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: source,
      expr,
      legendFormat: legend,
    })),
  };
}

/** A quantile of a histogram over the panel's rate interval, by labels. */
export function quantile(q: number, histogram: string, by: string, selector = ''): string {
  return `histogram_quantile(${q}, sum by (le${by && `, ${by}`}) (rate(${histogram}_bucket${selector}[$__rate_interval])))`;
}
