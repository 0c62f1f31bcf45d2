import { execFile, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The installed platform under test, its operator, and the reason to skip the tests without one. */
export const namespace = process.env['MILLRACE_NAMESPACE'];
export const operatorNamespace = process.env['MILLRACE_OPERATOR_NAMESPACE'] ?? 'millrace-system';
export const withoutPlatform: string | false = whyNot();

function whyNot(): string | false {
  if (namespace === undefined) return 'MILLRACE_NAMESPACE names no namespace with an installed platform';
  for (const tool of ['kubectl', 'helm'])
    if (spawnSync(tool, ['version', ...(tool === 'kubectl' ? ['--client'] : [])]).status !== 0)
      return `${tool} is not on the path`;
  return false;
}

/** The output of a command. @throws with its error output */
export async function output(program: string, args: string[], input?: string): Promise<string> {
  const child = run(program, args, { maxBuffer: 64 << 20 });
  if (input !== undefined) child.child.stdin!.end(input);
  return (await child).stdout;
}

export const kubectlIn = (where: string, ...args: string[]) => output('kubectl', ['--namespace', where, ...args]);
export const kubectl = (...args: string[]) => kubectlIn(namespace!, ...args);
export const helm = (...args: string[]) => output('helm', ['--namespace', namespace!, ...args]);

/** The pods of the operator, as `pod/name`. */
export async function operatorPods(): Promise<string[]> {
  const selector = '--selector=app.kubernetes.io/name=millrace-operator';
  return (await kubectlIn(operatorNamespace, 'get', 'pods', selector, '-o', 'name')).trim().split('\n');
}

export const apply = (object: object, where = namespace!) =>
  output('kubectl', ['--namespace', where, 'apply', '-f', '-'], JSON.stringify(object));

/** A field of a resource, by its JSON path. */
export const field = (resource: string, path: string) => kubectl('get', resource, '-o', `jsonpath={${path}}`);

/** A condition of a resource of Millrace. */
export interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

/** The fields of a Millrace resource that the tests read. */
export interface Resource {
  metadata: { name: string; generation: number; finalizers?: string[] };
  // oxlint-disable-next-line typescript/no-explicit-any -- of several kinds, whose shape each test knows
  status?: Record<string, any> & { conditions?: Condition[] };
}

export const read = async (resource: string) => JSON.parse(await kubectl('get', resource, '-o', 'json')) as Resource;
export const conditionOf = ({ status }: Resource, type: string) =>
  status?.conditions?.find((condition) => condition.type === type);

/** Waits until every Deployment and StatefulSet has rolled out. */
export async function rolledOut(where = namespace!, withinSeconds = 300): Promise<void> {
  const all = (await kubectlIn(where, 'get', 'deployments,statefulsets', '-o', 'name')).trim().split('\n');
  const wait = (workload: string) =>
    kubectlIn(where, 'rollout', 'status', workload, `--timeout=${withinSeconds}s`).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${await kubectlIn(where, 'get', 'pods')}`);
    });
  await Promise.all(all.map(wait));
}

/** The rows of SQL as the superuser of the bundled PostgreSQL, a line each. */
export const sql = (database: string, ...statements: string[]) =>
  kubectl(
    'exec',
    'postgresql-0',
    '--',
    'psql',
    '--username=postgres',
    '--no-psqlrc',
    '--tuples-only',
    '--no-align',
    '--set=ON_ERROR_STOP=1',
    `--dbname=${database}`,
    ...statements.map((statement) => `--command=${statement}`),
  );

export interface Forward {
  url: string;
  close(): Promise<void>;
}

/** `kubectl port-forward` to a pod or service, on a port that the system chooses. */
export async function forward(target: string, port: number, where = namespace!): Promise<Forward> {
  const args = ['--namespace', where, 'port-forward', '--address=127.0.0.1', target, `:${port}`];
  const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  return { url: `http://127.0.0.1:${await forwardedPort(child, target)}`, close: () => ended(child) };
}

async function forwardedPort(child: ChildProcess, target: string): Promise<string> {
  let said = '';
  const port = new Promise<string>((resolve, reject) => {
    const hear = (part: Buffer) => {
      said += String(part);
      const found = /127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout!.on('data', hear);
    child.stderr!.on('data', hear);
    child.once('exit', () => reject(new Error(`port-forward ${target}: ${said}`)));
  });
  return await port;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill();
  await exited;
}

/** A pod of the platform's image that runs a script; no network policy selects it. */
export function scriptPod(name: string, image: string, script: string): object[] {
  const labels = { app: name };
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { 'script.mjs': script } };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 5,
      securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name,
          image,
          args: ['/script/script.mjs'],
          env: [{ name: 'GATEWAY_URL', value: 'http://gateway:8080' }],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          volumeMounts: [{ name: 'script', mountPath: '/script' }],
        },
      ],
      volumes: [{ name: 'script', configMap: { name } }],
    },
  };
  return [configMap, pod];
}
