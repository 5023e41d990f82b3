// Draws the dashboards of ../dashboards into a folder of pictures, with what LOKI and PROMETHEUS hold of the hour that ends at END.
// PACKAGES is the folder with node_modules. For eyes: it proves nothing. usage: node draw.mjs FOLDER
import { mkdtemp, mkdir, readFile, readdir, rm } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

const { LOKI, PROMETHEUS, END, PACKAGES, CHROMIUM = '/usr/bin/chromium' } = process.env;
const require = createRequire(`${PACKAGES}/`);
const { build } = require('esbuild');
const { chromium } = require('playwright-core');
const here = (name) => path.join(import.meta.dirname, name);
const modules = (name) => path.join(PACKAGES, 'node_modules', name);
const [out] = process.argv.slice(2);
const work = await mkdtemp(path.join(tmpdir(), 'inotrail-preview-'));

async function bundle() {
  const own = { name: 'own', setup: (it) => it.onResolve({ filter: /packages\.mjs$/ }, () => ({ path: here('src/packages.ts') })) };
  await build({
    entryPoints: [here('src/main.tsx')],
    outfile: path.join(work, 'main.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    jsx: 'automatic',
    logLevel: 'error',
    // The code editor is half of the bundle, and no panel needs it.
    alias: { 'monaco-editor': here('src/empty.ts') },
    nodePaths: [path.join(PACKAGES, 'node_modules')],
    plugins: [own],
    define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'globalThis' },
    loader: { '.svg': 'dataurl', '.png': 'dataurl', '.ttf': 'dataurl', '.woff2': 'dataurl' },
  });
}

const page =
  '<!doctype html><link rel="stylesheet" href="/main.css"><script>window.__grafana_public_path__="/public/"</script><body style="margin:0"><div id="root"></div><script type="module" src="/main.js"></script>';
const types = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
};
let dashboard;

function fileOf(name) {
  if (name === '/dashboard.json') return here(`../dashboards/${dashboard}.json`);
  if (name.startsWith('/public/build/')) return modules(path.join('@grafana/ui/dist/public', name.slice('/public/build/'.length)));
  if (name.startsWith('/public/fonts/inter/'))
    return modules(`@fontsource/inter/files/inter-latin-${/Medium/.test(name) ? 500 : 400}-normal.woff2`);
  if (name.startsWith('/public/fonts/roboto/')) return modules('@fontsource/roboto-mono/files/roboto-mono-latin-400-normal.woff2');
  return path.join(work, path.basename(name));
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://x');
  if (pathname === '/') return response.writeHead(200, { 'content-type': 'text/html' }).end(page);
  const server = pathname.startsWith('/loki/') ? LOKI : pathname.startsWith('/prometheus/') ? PROMETHEUS : undefined;
  if (!server)
    return response
      .writeHead(200, { 'content-type': types[path.extname(pathname)] ?? 'application/octet-stream' })
      .end(await readFile(fileOf(pathname)));
  const flags = 'x-loki-response-encoding-flags';
  const from = await fetch(server + request.url.replace(/^\/prometheus/, ''), { headers: { [flags]: request.headers[flags] ?? '' } });
  response.writeHead(from.status, { 'content-type': 'application/json' }).end(Buffer.from(await from.arrayBuffer()));
}

async function draw(browser, port, name) {
  dashboard = name;
  const { panels } = JSON.parse(await readFile(here(`../dashboards/${name}.json`)));
  const rows = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const tab = await browser.newPage();
  await tab.setViewportSize({ width: 1440, height: 90 + rows * 38 });
  const problems = [];
  tab.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  tab.on('pageerror', (error) => problems.push(String(error)));
  // Nothing is fetched from elsewhere.
  await tab.route('**', (route) => (new URL(route.request().url()).port === String(port) ? route.continue() : route.abort()));
  await tab.goto(`http://127.0.0.1:${port}/?end=${END}`);
  await tab.waitForLoadState('networkidle');
  await tab.waitForTimeout(1500); // charts are drawn in frames of their own, and nothing tells when
  await tab.screenshot({ path: path.join(out, `${name}.png`) });
  await tab.close();
  console.log(`${name}.png${problems.map((problem) => `\n  ${problem.slice(0, 300)}`).join('')}`);
}

await mkdir(out, { recursive: true });
await bundle();
const server = http.createServer((request, response) => answer(request, response).catch(() => response.writeHead(404).end()));
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const browser = await chromium.launchPersistentContext(path.join(work, 'profile'), {
  executablePath: CHROMIUM,
  headless: true,
  timezoneId: 'UTC',
  locale: 'en-US',
  args,
});
for (const file of (await readdir(here('../dashboards'))).sort()) await draw(browser, server.address().port, path.basename(file, '.json'));
await browser.close();
server.close();
await rm(work, { recursive: true });
