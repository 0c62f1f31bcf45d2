import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '#test/eventually.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** The command of the chart: Node's flags, and the program. */
function chartArguments(): string[] {
  const template = readFileSync(join(root, 'charts/millrace-operator/templates/_pod.tpl'), 'utf8');
  return /args: \[(.*)\]/.exec(template)![1]!.split(', ');
}

/** An operator in a separate process, as a pod runs it. */
export interface OperatorProcess {
  child: ChildProcess;
  /** the metrics whose name and labels match */
  lines(pattern: RegExp): Promise<string[]>;
  /** the sum of the metrics whose name and labels match */
  metric(pattern: RegExp): Promise<number>;
  isLeading(): Promise<boolean>;
  isAlive(): Promise<boolean>;
  /** its log */
  log(): string;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/**
 * Starts an operator for a namespace and waits until it is ready.
 * @param kubeconfig how it reaches the API server
 * @param env further variables of its environment
 */
export async function startOperator(
  kubeconfig: string,
  namespace: string,
  env: NodeJS.ProcessEnv = {},
): Promise<OperatorProcess> {
  let printed = '';
  // 0 lets the system choose; the log says which
  const child = spawn(process.execPath, ['--no-warnings', ...chartArguments()], {
    cwd: root,
    env: {
      ...process.env,
      KUBECONFIG: kubeconfig,
      WATCH_NAMESPACES: namespace,
      LEASE_NAMESPACE: namespace,
      HOST: '127.0.0.1',
      PORT: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const exited = once(child, 'exit');
  await eventually(() => /"port":\d+/.test(printed), 'it listens', 30_000);
  const url = `http://127.0.0.1:${/"port":(\d+)/.exec(printed)![1]}`;
  const answers = async (path: string) => {
    try {
      return (await fetch(url + path)).ok;
    } catch {
      return false;
    }
  };
  await eventually(() => answers('/readyz'), 'it is ready', 30_000);
  const lines = async (pattern: RegExp) =>
    (await (await fetch(`${url}/metrics`)).text()).split('\n').filter((line) => pattern.test(line));
  const metric = async (pattern: RegExp) =>
    (await lines(pattern)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  return {
    child,
    lines,
    metric,
    isLeading: async () => (await metric(/^operator_leader /)) === 1,
    isAlive: () => answers('/livez'),
    log: () => printed,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
    },
  };
}
