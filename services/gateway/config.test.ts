import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError } from '#platform/config';
import { gatewayConfig } from './config.ts';

const addresses = {
  PORT: '8080',
  USERS_URL: 'http://users:8081',
  ORDERS_URL: 'http://orders:8082',
  NOTIFICATIONS_URL: 'http://notifications:8083',
  ANALYTICS_URL: 'http://analytics:8084',
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
  it('wants the addresses only', () => {
    const config = read(addresses);
    assert.equal(config.MAX_IN_FLIGHT, 256);
    assert.equal(config.AUTH_JWKS_URL, undefined);
    assert.equal(config.TRUST_PROXY, false);
  });

  it('names every fault', () => {
    const { USERS_URL: _, ...rest } = addresses;
    const found = faults({ ...rest, ORDERS_URL: 'orders:8082', MAX_IN_FLIGHT: '0' }).join('\n');
    for (const name of ['USERS_URL', 'ORDERS_URL', 'MAX_IN_FLIGHT']) assert.match(found, new RegExp(name));
  });

  it('refuses authentication that is configured by half', () => {
    assert.match(faults({ ...addresses, AUTH_JWKS_URL: 'https://issuer/keys' }).join(), /AUTH_ISSUER.*AUTH_AUDIENCE/);
    assert.match(faults({ ...addresses, AUTH_ISSUER: 'https://issuer' }).join(), /AUTH_JWKS_URL/);
  });
});
