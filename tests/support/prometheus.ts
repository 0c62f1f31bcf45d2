import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';

import { eventually } from '#test/eventually.ts';
import { freePort } from '#test/ports.ts';

/** Why there is no Prometheus here, or false. */
export const withoutPrometheus: string | false =
  spawnSync('prometheus', ['--version']).status === 0 ? false : 'prometheus is not on the path';

/** A value of a series, or NaN. */
export interface Series {
  labels: Record<string, string>;
  value: number;
}

export interface Prometheus {
  /** The series of an instant query. @throws with Prometheus's message if it refuses the query */
  query(promql: string): Promise<Series[]>;
  stop(): Promise<void>;
}

/**
 * Starts a Prometheus that scrapes every second, and waits until it is ready.
 * @param targets `host:port` by job
 */
export async function startPrometheus(targets: Record<string, string>): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-prometheus-'));
  const jobs = Object.entries(targets).map(([job, target]) => ({
    job_name: job,
    static_configs: [{ targets: [target] }],
  }));
  const config = { global: { scrape_interval: '1s', scrape_timeout: '1s' }, scrape_configs: jobs };
  writeFileSync(join(folder, 'prometheus.yml'), stringify(config));
  const address = `127.0.0.1:${await freePort()}`;
  const flags = {
    'config.file': join(folder, 'prometheus.yml'),
    'storage.tsdb.path': join(folder, 'data'),
    'web.listen-address': address,
  };
  const child = spawn(
    'prometheus',
    Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
  const ended = once(child, 'close');
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`prometheus ended:\n${said}`);
    const ready = await fetch(`http://${address}/-/ready`).catch(() => undefined);
    return ready?.ok;
  }, 'prometheus is ready');
  return {
    async query(promql) {
      const response = await fetch(`http://${address}/api/v1/query?query=${encodeURIComponent(promql)}`);
      const { error, data } = (await response.json()) as {
        error?: string;
        data?: { result: { metric: Record<string, string>; value: [number, string] }[] };
      };
      if (error !== undefined || !data) throw new Error(`${promql}: ${error}`);
      return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
