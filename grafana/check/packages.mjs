// Grafana's own published packages, from the folder that PACKAGES names: it is not part of the tree.
import { createRequire } from 'node:module';

globalThis.navigator ??= { language: 'en-US', languages: ['en-US'] }; // read by @grafana/data, and new in Node 21
const require = createRequire(`${process.env.PACKAGES}/`);

export const data = require('@grafana/data');
export const { Ajv } = require('ajv');
export const { firstValueFrom } = require('rxjs');
export const YAML = require('yaml');
export const logql = require('@grafana/lezer-logql');
export const promql = require('@prometheus-io/lezer-promql');
export const schema = require('./dashboard.schema.json');

globalThis.window ??= globalThis; // the same, but some packages take it for a browser while they load

const { standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry } = data;
const none = () => null;
standardEditorsRegistry.setInit(() => []);
standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(standardTransformers).map((it) => [it.id, it])).values()].map((it) => ({
    id: it.id,
    name: it.id,
    transformation: async () => it,
  })),
);
// Which fields' properties there are, and how their values are read, is in Grafana itself; the readers are published.
const readers = {
  unit: data.unitOverrideProcessor,
  min: data.numberOverrideProcessor,
  max: data.numberOverrideProcessor,
  decimals: data.numberOverrideProcessor,
  displayName: data.displayNameOverrideProcessor,
  noValue: data.displayNameOverrideProcessor,
  mappings: data.valueMappingsOverrideProcessor,
  thresholds: data.thresholdsOverrideProcessor,
  links: data.dataLinksOverrideProcessor,
  color: data.identityOverrideProcessor,
  filterable: data.identityOverrideProcessor,
};
standardFieldConfigEditorRegistry.setInit(() =>
  Object.entries(readers).map(([id, process]) => ({
    id,
    path: id,
    name: id,
    editor: none,
    override: none,
    process,
    shouldApply: () => true,
    getItemsCount: () => 0,
  })),
);
/** Properties that an override may set, those of panels' own aside. */
export const properties = Object.keys(readers);
export const theme = data.createTheme();
