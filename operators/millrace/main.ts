import express from 'express';
import { createServer } from 'node:http';
import { loadConfig } from '#platform/config';
import { drainable, mountHealth } from '#platform/http';
import { registry } from '#platform/telemetry';
import { runService } from '#platform/lifecycle';
import { defaultConnection } from '#runtime/connection.ts';
import { RuntimeMetrics } from '#runtime/metrics.ts';
import { configSchema } from './config.ts';
import { createOperator, identityOf } from './create.ts';

await runService('operator', async ({ log, health, onStop }) => {
  const config = loadConfig(configSchema);
  const connection = await defaultConnection();
  const { operator, close } = createOperator({
    connection,
    log,
    metrics: new RuntimeMetrics(registry),
    namespaces: config.WATCH_NAMESPACES === '' ? undefined : config.WATCH_NAMESPACES.split(','),
    mayDelete: config.DELETION_ALLOWED,
    leaseNamespace: config.LEASE_NAMESPACE || (connection.namespace ?? 'default'),
    leaseName: config.LEASE_NAME,
    leaseDurationMs: config.LEASE_SECONDS * 1000,
    identity: identityOf(config.POD_NAME),
  });
  health.addReadiness('caches', () => operator.checkReady());
  health.addLiveness('controllers', () => operator.checkAlive());

  const app = express();
  app.disable('x-powered-by');
  mountHealth(app, 'operator', health);
  const { listen, close: closeHttp } = drainable(createServer(app));
  const port = await listen(config.PORT, config.HOST);
  onStop('http', closeHttp);
  operator.start();
  onStop('operator', close);
  log.info({ port, namespaces: config.WATCH_NAMESPACES || 'all' }, 'watches');
});
