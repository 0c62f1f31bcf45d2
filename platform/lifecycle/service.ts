import { setTimeout as sleep } from 'node:timers/promises';
import { Type } from 'typebox';
import { ConfigError, loadConfig, processConfig } from '#platform/config';
import { Health } from '#platform/health';
import { createLogger, startTelemetry } from '#platform/telemetry';
import type { Logger } from '#platform/telemetry';

/** The parts that a service's start gets. */
export interface Service {
  name: string;
  log: Logger;
  health: Health;
  /** adds a step of the shutdown; the last added runs first */
  onStop(step: string, stop: () => Promise<void>): void;
}

/** How this process is to log and end; where that is wrong, the service's own configuration says so, with all its faults. */
function processSettings() {
  const schema = Type.Object(processConfig);
  try {
    return loadConfig(schema);
  } catch {
    return loadConfig(schema, { env: {}, dirs: [] });
  }
}

/**
 * The lifecycle of a service process: telemetry, then `start`, then, on SIGTERM or SIGINT (or when the process that
 * started it with an IPC channel is gone), readiness goes down, and SHUTDOWN_DELAY_MS later the steps of `onStop` run, last
 * added first, within SHUTDOWN_GRACE_MS. A start that fails, and an error that nobody caught, end the process with code 1.
 */
export async function runService(name: string, start: (service: Service) => Promise<void>): Promise<void> {
  const { LOG_LEVEL, SHUTDOWN_DELAY_MS: delay, SHUTDOWN_GRACE_MS: grace } = processSettings();
  const log = createLogger(name, LOG_LEVEL);
  const health = new Health();
  const steps: { step: string; stop: () => Promise<void> }[] = [];
  let stopping: Promise<void> | undefined;
  let orphaned = false;

  async function stop(reason: string): Promise<void> {
    log.info({ reason }, 'stopping');
    health.drain();
    if (delay > 0 && !orphaned) await sleep(delay);
    let underWay = '';
    setTimeout(() => {
      log.error({ grace, step: underWay }, 'not stopped in time');
      process.exit(1);
    }, grace).unref();
    for (const { step, stop: run } of steps.toReversed()) {
      underWay = step;
      try {
        await run();
      } catch (error) {
        log.error({ err: error, step }, 'a step of the shutdown failed');
      }
    }
    log.info('stopped');
    // the exit hook of the log would try for ever to write to a pipe that nobody reads any more
    if (orphaned) process.kill(process.pid, 'SIGKILL');
    process.exit(0);
  }
  const stopOnce = (reason: string) => {
    stopping ??= stop(reason);
  };
  process.on('SIGTERM', () => stopOnce('SIGTERM'));
  process.on('SIGINT', () => stopOnce('SIGINT'));
  if (process.connected) {
    process.on('disconnect', () => {
      orphaned = true;
      log.level = 'silent';
      stopOnce('the parent process is gone');
    });
  }
  const die = (error: unknown) => {
    log.fatal({ err: error }, 'an error that nobody caught');
    process.exit(1);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);

  try {
    const telemetry = await startTelemetry(name);
    steps.push({ step: 'telemetry', stop: () => telemetry.stop() });
    await start({ name, log, health, onStop: (step, run) => steps.push({ step, stop: run }) });
    log.info('started');
  } catch (error) {
    if (error instanceof ConfigError) log.fatal({ faults: error.faults }, error.message);
    else log.fatal({ err: error }, 'the service cannot start');
    process.exit(1);
  }
}
