import { Type } from 'typebox';
import { contracts } from '#contracts/index.ts';
import type { Static } from 'typebox';
import { addressVariable, commonConfig, loadConfig, url } from '#platform/config';
import type { ConfigSource } from '#platform/config';

const http = () => url('http', 'https');

const schema = Type.Object({
  ...commonConfig,
  MAX_IN_FLIGHT: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 256,
    description: 'concurrent calls to one service',
  }),
  MAX_STREAMS: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 1_000,
    description: 'concurrent event streams',
  }),
  MAX_STREAMS_PER_CLIENT: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 50,
    description: "of the token's subject, else of the address",
  }),
  UPSTREAM_TIMEOUT_MS: Type.Integer({ minimum: 100, maximum: 60_000, default: 5_000 }),
  TRUST_PROXY: Type.Boolean({ default: false, description: 'trust the X-Forwarded headers of the peer' }),
  RATE_LIMIT_PER_SECOND: Type.Integer({
    minimum: 0,
    maximum: 100_000,
    default: 0,
    description: 'per client; 0 is no limit',
  }),
  AUTH_JWKS_URL: Type.Optional({ ...http(), needs: ['AUTH_ISSUER', 'AUTH_AUDIENCE'] }),
  AUTH_ISSUER: Type.Optional(Type.String({ needs: ['AUTH_JWKS_URL'] })),
  AUTH_AUDIENCE: Type.Optional(Type.String({ needs: ['AUTH_JWKS_URL'] })),
  AUTH_ACCEPT_ID_TOKENS: Type.Boolean({
    default: false,
    description: 'for an issuer whose access tokens are ID tokens',
  }),
  MAIL_PAGE_URL: Type.Optional(http()),
  TRACE_PAGE_URL: Type.Optional(http()),
});

const names = contracts.contracts.map(({ name }) => name);
/** The address of each service that has a contract. */
const addressSchema = Type.Object(Object.fromEntries(names.map((name) => [addressVariable(name), http()])));

export interface GatewayConfig extends Static<typeof schema> {
  /** where the services are, by name */
  addresses: Record<string, string>;
}

/** The gateway's settings. @throws ConfigError, also if the configuration of authentication is incomplete */
export function gatewayConfig(source?: ConfigSource): GatewayConfig {
  const config = loadConfig(Type.Object({ ...schema.properties, ...addressSchema.properties }), source);
  const addresses = names.map((name) => [name, (config as Record<string, unknown>)[addressVariable(name)] as string]);
  return { ...config, addresses: Object.fromEntries(addresses) as Record<string, string> };
}
