// Runs every npm script. It runs on the machine's own Node (20 or newer), installs missing packages, and starts the program
// with the Node 24 from npm. It passes each signal to the program once, and returns the program's exit code.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(root, 'node_modules');

/** The programs by name. */
const programs = {
  start: 'local/main.ts',
  test: 'tests/run.ts',
  mutants: 'tests/mutants/main.ts',
  generate: 'local/generate.ts',
  imports: 'local/imports.ts',
  contracts: 'services/contracts/check.ts',
  query: 'streams/cli/main.ts',
  operate: 'local/operate.ts',
  'query-schema': 'streams/language/schema-file.ts',
  errors: 'local/errors.ts',
  charts: 'charts/generate/main.ts',
  'charts:check': 'charts/check.ts',
  release: 'charts/release/main.ts',
  new: 'scaffold/main.ts',
  'test:new': 'scaffold/acceptance.ts',
  cluster: 'k8s/main.ts',
  chaos: 'tests/chaos/main.ts',
  disaster: 'tests/disaster/main.ts',
  'chaos:cluster': 'tests/cluster/chaos/main.ts',
  'upgrade:cluster': 'tests/cluster/released/main.ts',
  schedules: 'tests/schedules/main.ts',
  'bench:cluster': 'bench/cluster.ts',
  'bench:compare': 'bench/compare.ts',
  'bench:start': 'bench/start.ts',
  'bench:flow': 'bench/flow.ts',
  'bench:operator': 'tests/cluster/operator/scale/main.ts',
  'bench:orders': 'bench/orders.ts',
  'bench:streams': 'bench/streams.ts',
};

const packagesOf = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;

/** Whether node_modules has exactly the versions of package-lock.json; optional packages may be absent. */
function isInstalled() {
  const installedList = join(modules, '.package-lock.json');
  if (!existsSync(installedList)) return false;
  const installed = packagesOf(installedList);
  return Object.entries(packagesOf(join(root, 'package-lock.json'))).every(([path, { version, optional }]) => {
    if (path === '') return true;
    return installed[path] === undefined ? optional === true : installed[path].version === version;
  });
}

/** Runs a program to its end and forwards signals. After a signal, `code` is the code that a shell uses. */
async function run(program, args, options) {
  const child = spawn(program, args, { cwd: root, ...options });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
  const forward = (signal) => child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  // A killed npm forwards no signal: this process then gets another parent.
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.env.npm_lifecycle_event && process.ppid !== parent) forward('SIGTERM');
  }, 1_000);
  const code = await new Promise((resolve) => {
    child.once('error', (error) => {
      output += error.message;
      resolve(127);
    });
    child.once('close', (exitCode, signal) => resolve(exitCode ?? (signal === 'SIGINT' ? 130 : 143)));
  });
  for (const signal of signals) process.off(signal, forward);
  clearInterval(watch);
  return { code, output };
}

async function install() {
  console.error('Installing packages (npm install, about a minute on the first run)');
  // Not `npm ci`, which refuses a lock file that lacks other platforms' optional packages; --no-save leaves that file
  // alone. No package needs its install script. npm tells its scripts its path; otherwise npm is on the path.
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const options = { stdio: ['ignore', 'pipe', 'pipe'], shell: !npm && process.platform === 'win32' };
  const { code, output } = npm ? await run(process.execPath, [npm, ...args], options) : await run('npm', args, options);
  if (code !== 0) console.error(`The packages could not be installed:\n${output.trim()}`);
  return code;
}

/** The Node that runs TypeScript: npm's, else the machine's own if it is new enough. */
function findNode() {
  const installed = join(modules, '.bin', 'node');
  if (existsSync(installed)) return installed;
  return Number(process.versions.node.split('.')[0]) >= 24 ? process.execPath : undefined;
}

async function main() {
  const [name = '', ...args] = process.argv.slice(2);
  const program = programs[name];
  if (program === undefined) {
    console.error(`"${name}" is none of ${Object.keys(programs).join(', ')}.`);
    return 2;
  }
  if (!isInstalled()) {
    const code = await install();
    if (code !== 0) return code;
  }
  const node = findNode();
  if (node === undefined) {
    console.error(`Millrace runs on Node 24, which npm has no package of for ${process.platform}-${process.arch}.`);
    console.error('Install Node 24 and run the command again.');
    return 1;
  }
  // The channel tells the program when this process is killed.
  const { code } = await run(node, ['--no-warnings', join(root, program), ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  return code;
}

process.exitCode = await main();
