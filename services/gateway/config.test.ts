import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { contracts } from '#contracts/index.ts';
import { addressVariable, ConfigError } from '#platform/config';
import { gatewayConfig } from './config.ts';

const names = contracts.contracts.map(({ name }) => name);
const addresses = {
  PORT: '8080',
  ...Object.fromEntries(names.map((name) => [addressVariable(name), `http://${name}:8081`])),
};
const read = (env: NodeJS.ProcessEnv) => gatewayConfig({ env, dirs: [] });
const faults = (env: NodeJS.ProcessEnv): readonly string[] => {
  try {
    read(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.faults;
  }
  return [];
};

describe('configuration', () => {
  it('needs only the addresses', () => {
    const config = read(addresses);
    assert.equal(config.MAX_IN_FLIGHT, 256);
    assert.equal(config.AUTH_JWKS_URL, undefined);
    assert.equal(config.TRUST_PROXY, false);
  });

  it('names every fault', () => {
    const [missing, malformed] = names.map(addressVariable) as [string, string];
    const found = faults({ ...addresses, [missing]: undefined, [malformed]: 'orders:8082', MAX_IN_FLIGHT: '0' }).join();
    for (const name of [missing, malformed, 'MAX_IN_FLIGHT']) assert.match(found, new RegExp(name));
  });

  it('refuses an incomplete configuration of authentication', () => {
    assert.match(faults({ ...addresses, AUTH_JWKS_URL: 'https://issuer/keys' }).join(), /AUTH_ISSUER.*AUTH_AUDIENCE/);
    assert.match(faults({ ...addresses, AUTH_ISSUER: 'https://issuer' }).join(), /AUTH_JWKS_URL/);
  });
});
