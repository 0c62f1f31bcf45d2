import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from 'typebox';
import type { Static, TObject, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { PlatformError } from '#platform/errors';
import { coerce } from './coerce.ts';

/** Thrown for a configuration with faults; `faults` has all of them, a line each. */
export class ConfigError extends PlatformError {
  override name = 'ConfigError';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      'ERR_CONFIG_INVALID',
      `the configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n  ${faults.join('\n  ')}`,
    );
    this.faults = faults;
  }
}

/** Settings of every process. */
export const processConfig = {
  LOG_LEVEL: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], { default: 'info' }),
  // how long to continue serving, until load balancers know that this process is not ready and clients close connections
  SHUTDOWN_DELAY_MS: Type.Integer({ minimum: 0, maximum: 120_000, default: 0 }),
  // a consumer that leaves its group waits for the session of a member that has died, and for members with a running transaction
  SHUTDOWN_GRACE_MS: Type.Integer({ minimum: 0, maximum: 600_000, default: 25_000 }),
};

/** Settings of every service. */
export const commonConfig = {
  PORT: Type.Integer({ minimum: 0, maximum: 65_535 }),
  HOST: Type.String({ default: '', description: 'address to listen on; empty: all of them, of IPv4 and IPv6' }),
  // for a server that only its own machine reaches: names under which a tunnel or a proxy there is reached
  TRUSTED_HOSTS: Type.String({
    default: '',
    pattern: '^([a-z0-9.-]+(,[a-z0-9.-]+)*)?$',
    description: 'host names in lower case, several separated by commas',
  }),
  ...processConfig,
};

/** An address such as `http://users:8081` or `postgres://...`. */
export function url(...schemes: string[]) {
  return Type.String({ pattern: `^(${schemes.join('|')})://.+`, description: `${schemes.join(' or ')} URL` });
}

export interface ConfigSource {
  env?: NodeJS.ProcessEnv;
  /** a mounted ConfigMap or Secret: one file a key; default CONFIG_DIR, several separated by colons */
  dirs?: string[];
}

/** The files of a mounted ConfigMap, without Kubernetes' own `..data` entries. */
function readMounted(dir: string): Record<string, string> {
  const files = readdirSync(dir, { withFileTypes: true }).filter(
    (file) => !file.isDirectory() && !file.name.startsWith('.'),
  );
  return Object.fromEntries(files.map((file) => [file.name, readFileSync(join(dir, file.name), 'utf8').trim()]));
}

/**
 * Reads the settings of a schema from mounted files and the environment (which wins) and validates them. A setting with
 * `needs` in its schema requires the settings that it names: an incomplete configuration is an error, not the same as none.
 * @throws ConfigError with every fault, but without values, because they can be secrets
 */
export function loadConfig<T extends TObject>(schema: T, source: ConfigSource = {}): Static<T> {
  const env = source.env ?? process.env;
  const dirs = source.dirs ?? (env['CONFIG_DIR'] ? env['CONFIG_DIR'].split(':') : []);
  const faults: string[] = [];
  let mounted: Record<string, string> = {};
  for (const dir of dirs) {
    try {
      mounted = { ...mounted, ...readMounted(dir) };
    } catch (error) {
      faults.push(`CONFIG_DIR: ${dir} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
    }
  }
  const values: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(schema.properties as Record<string, TSchema>)) {
    const text = env[name] || mounted[name];
    const value =
      text === undefined || text === '' ? (property as { default?: unknown }).default : coerce(text, property);
    if (value !== undefined) values[name] = value;
  }
  for (const name of schema.required ?? []) {
    if (values[name] === undefined) faults.push(`${name} is missing${hint(schema, name)}`);
  }
  for (const fault of Compile(schema).Errors(values)) {
    const name = fault.instancePath.slice(1);
    if (name !== '') faults.push(`${name} ${fault.message}${hint(schema, name)}`);
  }
  faults.push(...unmetNeeds(schema, values));
  if (faults.length > 0) throw new ConfigError(faults);
  return values as Static<T>;
}

function unmetNeeds(schema: TObject, values: Record<string, unknown>): string[] {
  const needs = Object.entries(schema.properties as Record<string, { needs?: string[] }>)
    .filter(([name]) => values[name] !== undefined)
    .flatMap(([name, property]) => (property.needs ?? []).map((needed) => ({ name, needed })))
    .filter(({ needed }) => values[needed] === undefined);
  return needs.map(({ name, needed }) => `${needed} is missing (${name} needs it)`);
}

function hint(schema: TObject, name: string): string {
  const property = (schema.properties as Record<string, { description?: string; enum?: unknown[] }>)[name];
  if (property?.enum) return ` (one of ${property.enum.join(', ')})`;
  return property?.description ? ` (${property.description})` : '';
}

/** The variable with the address of a service: `USERS_URL`. */
export function addressVariable(service: string): string {
  return `${service.toUpperCase().replaceAll('-', '_')}_URL`;
}
