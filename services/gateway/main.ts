import { contracts } from '#contracts/index.ts';
import { consumers } from '#platform/declarations';
import { runService } from '#platform/lifecycle';
import { gatewayConfig } from './config.ts';
import { createGateway } from './gateway.ts';

await runService('gateway', async (service) => {
  const { log, health } = service;
  const config = gatewayConfig();
  const gateway = await createGateway({
    contracts,
    addresses: config.addresses,
    consumers: consumers().filter((name) => name in config.addresses),
    health,
    log,
    limits: {
      maxInFlight: config.MAX_IN_FLIGHT,
      maxStreams: config.MAX_STREAMS,
      headersTimeoutMs: config.UPSTREAM_TIMEOUT_MS,
    },
    trustProxy: config.TRUST_PROXY,
    rateLimit: config.RATE_LIMIT_PER_SECOND,
    streamsOfClient: config.MAX_STREAMS_PER_CLIENT,
    auth: config.AUTH_JWKS_URL
      ? {
          jwksUrl: config.AUTH_JWKS_URL,
          issuer: config.AUTH_ISSUER!,
          audience: config.AUTH_AUDIENCE!,
          acceptIdTokens: config.AUTH_ACCEPT_ID_TOKENS,
        }
      : undefined,
    pages: { mailUrl: config.MAIL_PAGE_URL, traceUrl: config.TRACE_PAGE_URL },
  });
  const port = await gateway.listen(config.PORT, config.HOST, config.TRUSTED_HOSTS);
  service.onStop('http', () => gateway.close());
  log.info({ port }, 'listening');
});
