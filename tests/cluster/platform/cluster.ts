import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

import type { Client } from '../../platform/client.ts';

const run = promisify(execFile);

/** The installed platform that is tested, and why it is not where there is none. */
export const namespace = process.env['MILLRACE_NAMESPACE'];
export const withoutPlatform: string | false = whyNot();

function whyNot(): string | false {
  if (namespace === undefined) return 'MILLRACE_NAMESPACE names no namespace with an installed platform';
  for (const tool of ['kubectl', 'helm'])
    if (spawnSync(tool, ['version', ...(tool === 'kubectl' ? ['--client'] : [])]).status !== 0)
      return `${tool} is not on the path`;
  return false;
}

/** What a command prints. @throws with what it says on its error output */
export async function output(program: string, args: string[], input?: string): Promise<string> {
  const child = run(program, args, { maxBuffer: 64 << 20 });
  if (input !== undefined) child.child.stdin!.end(input);
  return (await child).stdout;
}

export const kubectl = (...args: string[]) => output('kubectl', ['--namespace', namespace!, ...args]);
export const helm = (...args: string[]) => output('helm', ['--namespace', namespace!, ...args]);
export const apply = (object: object) =>
  output('kubectl', ['--namespace', namespace!, 'apply', '-f', '-'], JSON.stringify(object));

/** A field of a resource, by its JSON path. */
export const field = (resource: string, path: string) => kubectl('get', resource, '-o', `jsonpath={${path}}`);

/** Waits until every Deployment and StatefulSet has rolled out. */
export async function rolledOut(withinSeconds = 300): Promise<void> {
  const all = (await kubectl('get', 'deployments,statefulsets', '-o', 'name')).trim().split('\n');
  await Promise.all(all.map((workload) => kubectl('rollout', 'status', workload, `--timeout=${withinSeconds}s`)));
}

/** Calls the gateway from within the cluster, from a pod that stays. */
export function gatewayFrom(pod: string): Pick<Client, 'call'> {
  const script = `let text = ''; for await (const part of process.stdin) text += part;
    const { url, ...init } = JSON.parse(text);
    const response = await fetch(url, init);
    console.log(JSON.stringify({ status: response.status, headers: [...response.headers], text: await response.text() }));`;
  return {
    async call<T>(method: string, path: string, body?: unknown) {
      const request = {
        url: `http://gateway:8080${path}`,
        method,
        headers: { 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      };
      const args = ['--namespace', namespace!, 'exec', '-i', pod, '--', 'node', '--input-type=module', '-e', script];
      const { status, headers, text } = JSON.parse(await output('kubectl', args, JSON.stringify(request))) as {
        status: number;
        headers: [string, string][];
        text: string;
      };
      return { status, headers: new Headers(headers), body: (text === '' ? undefined : JSON.parse(text)) as T };
    },
  };
}

/** A pod of the platform's image that runs a script; it is nobody's policy's business. */
export function scriptPod(name: string, image: string, script: string): object[] {
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { 'script.mjs': script } };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'Never',
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
