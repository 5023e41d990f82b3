// In the place of ../../check/packages.mjs, whose packages are those of a program without a browser.
export * as data from '@grafana/data';
