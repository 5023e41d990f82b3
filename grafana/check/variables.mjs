// What Grafana puts in the place of variables, for Loki and for Prometheus.

// A variable of several values, or with All, is a regular expression in a quoted string: escaped twice.
const twice = (also) => (text) =>
  [...String(text)].map((c) => (c === '\\' ? '\\\\\\\\' : `$^*{}[]+?.()|${also}`.includes(c) ? `\\\\${c}` : c)).join('');
const loki = twice('');
const prometheus = twice("'");

/** How the value of a variable is written, by the kind of data source; `many`: of a variable of several values, or with All. */
export const styles = {
  loki: (value, many) => (many ? [value].flat().map(loki).join('|') : String(value)),
  prometheus: (value, many) => {
    if (!many) return String(value).replaceAll('\\', '\\\\').replaceAll("'", "\\\\'");
    const all = [value].flat().map(prometheus);
    return all.length === 1 ? all[0] : `(${all.join('|')})`;
  },
};
const regex = (text) => String(text).replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&');
const formats = {
  raw: (value) => String(value),
  regex: (value) => (Array.isArray(value) && value.length > 1 ? `(${value.map(regex).join('|')})` : [value].flat().map(regex).join('')),
};

/**
 * The text with its variables filled. `values`: name to `{ many, value, all }`; `all`: what stands for All, put in as it is.
 * A name that is not there stays.
 */
export function fill(text, values, style) {
  return text.replace(/\$\{(\w+)(?::(\w+))?\}|\$(\w+)/g, (whole, braced, format, bare) => {
    const variable = values.get(braced ?? bare);
    if (!variable) return whole;
    if (variable.all !== undefined) return variable.all;
    if (format) return (formats[format] ?? (() => whole))(variable.value);
    return styles[style](variable.value, variable.many);
  });
}

/** Grafana's own variables, which are filled behind the others. */
export function fillTimes(text, { rangeMs, intervalMs, instant }) {
  const duration = (ms) => (ms % 1000 ? `${ms}ms` : `${ms / 1000}s`);
  const seconds = Math.round(rangeMs / 1000);
  const times = {
    __interval_ms: intervalMs,
    __interval: duration(intervalMs),
    __range_ms: rangeMs,
    __range_s: seconds,
    __range: `${seconds}s`,
    __auto: instant ? `${seconds}s` : duration(intervalMs),
    // Four scrapes of 15 s, Prometheus' default in Grafana.
    __rate_interval: duration(Math.max(intervalMs + 15000, 60000)),
  };
  return Object.entries(times).reduce(
    (text, [name, value]) => text.replaceAll(`\${${name}}`, value).replaceAll(new RegExp(`\\$${name}\\b`, 'g'), value),
    text,
  );
}

/** Names of variables in any text of a dashboard, Grafana's own left out. */
export function used(text) {
  const names = [...text.matchAll(/\$\{(\w+)(?::\w+)?\}|\$(\w+)/g)].map((found) => found[1] ?? found[2]);
  return new Set(names.filter((name) => !name.startsWith('__') && !/^\d/.test(name)));
}
