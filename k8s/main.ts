// npm run cluster:up and cluster:down: the platform in a kind cluster on this machine.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { describeError, Fault } from '#local/fault.ts';

import { buildSteps, builtImage, downSteps, imageOf, nextWords, tools, upSteps, type Step } from './steps.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const USAGE = `Usage: npm run cluster:up [-- --cloudnative-pg] [-- --observability]
       npm run cluster:down

  --cloudnative-pg   PostgreSQL by CloudNativePG, with a standby, in place of one pod
  --observability    OpenTelemetry Collector, Prometheus, Tempo, Grafana and Kafka UI, too`;

/** @throws Fault that names all missing tools, and where to get them */
function assertTools(names: string[]): void {
  const missing = names.filter((name) => spawnSync(name, ['--help'], { stdio: 'ignore' }).error !== undefined);
  if (missing.length === 0) return;
  const where = missing.map((name) => `  ${name}: ${tools[name]}`).join('\n');
  throw new Fault(`${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} not on the path.`, {
    hint: `Install the missing tools and run the command again:\n${where}`,
  });
}

function run({ say, command: [program, ...args] }: Step): void {
  console.log(`\n${say}\n$ ${program} ${args.join(' ')}`);
  // where Docker keeps images as containerd does, an attestation with the time of the build would give each build another id
  const env = { ...process.env, BUILDX_NO_DEFAULT_ATTESTATIONS: '1' };
  const { status } = spawnSync(program, args, { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) throw new Fault(`${program} ended with ${status}: see above.`);
}

/** The id of the image that was built last. @throws Fault if Docker does not say it */
function builtId(): string {
  const args = ['image', 'inspect', '--format', '{{.Id}}', builtImage];
  const { status, stdout } = spawnSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (status !== 0) throw new Fault(`docker ended with ${status}: see above.`);
  return stdout.trim();
}

function main(): void {
  const { values, positionals } = parseArgs({
    options: {
      'cloudnative-pg': { type: 'boolean', default: false },
      observability: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  if (values.help || !['up', 'down'].includes(positionals[0] ?? '')) return console.log(USAGE);
  if (positionals[0] === 'down') {
    assertTools(['docker', 'kind']);
    return downSteps.forEach(run);
  }
  assertTools(Object.keys(tools));
  if (spawnSync('docker', ['info'], { stdio: 'ignore' }).status !== 0)
    throw new Fault('Docker does not answer.', { hint: 'Start Docker and run the command again.' });
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { version: string };
  const { 'cloudnative-pg': cloudNativePg, observability } = values;
  const clusters = spawnSync('kind', ['get', 'clusters'], { encoding: 'utf8' }).stdout.split('\n');
  buildSteps(clusters.includes('millrace')).forEach(run);
  const options = { image: imageOf(version, builtId()), cloudNativePg, observability };
  upSteps(options).forEach(run);
  console.log(nextWords(options));
}

try {
  main();
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
